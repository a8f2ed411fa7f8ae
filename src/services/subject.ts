/** What each method asks for, in the policies' words: one action on one resource. A method without a row does not compile. */
import type { Action, AuthorizationRequest, Resource } from "../authz/index.ts";
import { isGatehouseError } from "../core/index.ts";
import { METHODS } from "../gen/index.ts";
import type { DeviceId } from "../identity/index.ts";
import { parseFolderPath, parseSecretPath } from "../vault/index.ts";
import { parsePolicyId, parseRole } from "./names.ts";

export interface Subject {
  readonly action: Action;
  readonly resource: Resource;
  readonly circumstances?: Circumstances | undefined;
}

/** What else policies may see of a call. */
export type Circumstances = Pick<
  AuthorizationRequest["context"],
  "approval" | "arguments" | "argumentsHash" | "role"
>;

/** What a subject is made from, besides the request. */
export interface SubjectContext {
  readonly gatehouseId: DeviceId;
  /** Of the call at hand. */
  readonly callerId: DeviceId;
  /** @throws device.not-found, device.ambiguous */
  readonly findDevice: (text: string) => {
    readonly id: DeviceId;
    readonly roles: readonly string[];
    readonly name: string;
  };
  /** Somebody who has proven a pairing code and waits for a yes. @throws pairing.not-waiting */
  readonly findJoiner: SubjectContext["findDevice"];
  /** @throws tool.not-found */
  readonly findTool: (name: string) => ToolSubject;
  /** A call of it, checked. @throws tool.not-found, tool.bad-argument */
  readonly bindCall: (name: string, given: Readonly<Record<string, string>>) => CallSubject;
  /** The tool that an approval is about, as it is declared now. @throws approval.not-found */
  readonly findApproval: (id: string) => ToolSubject;
}

export interface ToolSubject {
  readonly name: string;
  readonly groups: readonly string[];
}

export interface CallSubject {
  /** By parameter, all of them. */
  readonly arguments: Readonly<Record<string, string>>;
  /** Hex. */
  readonly hash: string;
}

/** Stands in policies for the set of them as a whole. */
export const ALL_POLICIES = "*";

type Services = typeof METHODS;
type RequestOf<Method> = Method extends { readonly request: { decode(bytes: Uint8Array): infer Request } }
  ? Request
  : never;
type Table = {
  readonly [Service in keyof Services]: {
    readonly [Method in keyof Services[Service]]: (
      request: RequestOf<Services[Service][Method]>,
      context: SubjectContext,
    ) => Subject;
  };
};

const secret = (action: Action, path: string): Subject => ({
  action,
  resource: { kind: "secret", path: parseSecretPath(path) },
});
const gatehouse = (action: Action, { gatehouseId }: SubjectContext): Subject => ({
  action,
  resource: { kind: "gatehouse", id: gatehouseId },
});
const knownDevice = (action: Action, device: string, { findDevice }: SubjectContext): Subject => ({
  action,
  resource: { kind: "device", ...findDevice(device) },
});

const onePolicy = (action: Action, id: string): Subject => ({
  action,
  resource: { kind: "policy", id: parsePolicyId(id) },
});
const allPolicies = (action: Action): Subject => ({ action, resource: { kind: "policy", id: ALL_POLICIES } });
/** Of a call with arguments that do not fit, its handler says so to who may know. */
const circumstancesOf = (bind: () => CallSubject): Circumstances => {
  try {
    const call = bind();
    return { arguments: call.arguments, argumentsHash: call.hash };
  } catch (failure) {
    if (isGatehouseError(failure, "tool.bad-argument")) return {};
    throw failure;
  }
};
const tool = (action: Action, { name, groups }: ToolSubject): Subject => ({
  action,
  resource: { kind: "tool", name, groups },
});
/** Policies see which role is handed out, or taken away. */
const withRole = (subject: Subject, role: string): Subject => ({
  ...subject,
  circumstances: { role: parseRole(role) },
});

/** Of a pairing window that says none. */
export const DEFAULT_ROLE = "member";

export const SUBJECTS: Table = {
  Health: {
    Ping: (_request, context) => gatehouse("gatehouse:ping", context),
    Info: (_request, context) => gatehouse("gatehouse:ping", context),
    Status: (_request, context) => gatehouse("gatehouse:status", context),
  },
  GrpcHealth: {
    Check: (_request, context) => gatehouse("gatehouse:ping", context),
    Watch: (_request, context) => gatehouse("gatehouse:ping", context),
  },
  Device: {
    List: (_request, context) => gatehouse("device:list", context),
    Show: (_request, context) => gatehouse("device:list", context),
    Revoke: ({ device }, context) => knownDevice("device:revoke", device, context),
    Release: ({ device }, context) => knownDevice("device:release", device, context),
    Rename: ({ device }, context) => knownDevice("device:rename", device, context),
    Grant: ({ device, role }, context) => withRole(knownDevice("device:grant", device, context), role),
    Ungrant: ({ device, role }, context) => withRole(knownDevice("device:grant", device, context), role),
    // Each role of the user is decided by the handler.
    Assign: ({ device }, context) => knownDevice("device:grant", device, context),
    Readmit: ({ device }, context) => knownDevice("device:readmit", device, context),
    Renew: (_request, context) => knownDevice("device:renew-self", context.callerId, context),
  },
  Backup: {
    Create: (_request, context) => gatehouse("backup:create", context),
  },
  Audit: {
    Read: () => ({ action: "audit:read", resource: { kind: "audit-log" } }),
  },
  Keys: {
    List: (_request, context) => gatehouse("vault:rotate", context),
    Rotate: (_request, context) => gatehouse("vault:rotate", context),
    Watch: (_request, context) => gatehouse("vault:rotate", context),
    Abort: (_request, context) => gatehouse("vault:rotate", context),
  },
  Authority: {
    Show: (_request, context) => gatehouse("authority:read", context),
    Rotate: (_request, context) => gatehouse("authority:manage", context),
    RenewServer: (_request, context) => gatehouse("authority:manage", context),
    RevocationList: (_request, context) => gatehouse("authority:read", context),
  },
  Seal: {
    Seal: (_request, context) => gatehouse("vault:seal", context),
    Unseal: (_request, context) => gatehouse("vault:seal", context),
  },
  Pairing: {
    Open: ({ role }, context) => withRole(gatehouse("pair:open", context), role || DEFAULT_ROLE),
    Waiting: (_request, context) => gatehouse("pair:open", context),
    Decide: ({ device }, { findJoiner }) => {
      const joiner = findJoiner(device);
      const subject: Subject = { action: "device:approve", resource: { kind: "device", ...joiner } };
      return withRole(subject, joiner.roles[0] ?? DEFAULT_ROLE);
    },
  },
  Users: {
    List: (_request, context) => gatehouse("user:list", context),
    Add: (_request, context) => gatehouse("user:manage", context),
    Remove: (_request, context) => gatehouse("user:manage", context),
    Grant: ({ role }, context) => withRole(gatehouse("user:manage", context), role),
    Ungrant: ({ role }, context) => withRole(gatehouse("user:manage", context), role),
  },
  Policy: {
    List: (_request, context) => gatehouse("policy:list", context),
    History: (_request, context) => gatehouse("policy:list", context),
    Show: ({ id }) => onePolicy("policy:read", id),
    Export: () => allPolicies("policy:read"),
    Explain: () => allPolicies("policy:read"),
    Check: () => allPolicies("policy:read"),
    Shadow: () => allPolicies("policy:read"),
    Put: ({ id }) => onePolicy("policy:write", id),
    Remove: ({ id }) => onePolicy("policy:write", id),
    Rollback: () => allPolicies("policy:write"),
  },
  Tools: {
    List: (_request, context) => gatehouse("tool:list", context),
    Show: ({ name }, { findTool }) => tool("tool:list", findTool(name)),
    Run: ({ name, arguments: given }, { findTool, bindCall }) => ({
      ...tool("tool:run", findTool(name)),
      circumstances: circumstancesOf(() => bindCall(name, given)),
    }),
  },
  Approvals: {
    List: (_request, context) => gatehouse("approval:list", context),
    Watch: (_request, context) => gatehouse("approval:list", context),
    Show: ({ id }, { findApproval }) => tool("approval:list", findApproval(id)),
    Decide: ({ id }, { findApproval }) => tool("approval:decide", findApproval(id)),
  },
  Vault: {
    Put: ({ path }) => secret("secret:write", path),
    Get: ({ path }) => secret("secret:reveal", path),
    // The folder asked for; what lies in folders the caller may not list is left out by the handler.
    List: ({ prefix }) => ({
      action: "secret:list",
      resource: { kind: "folder", path: parseFolderPath(prefix) },
    }),
    History: ({ path }) => secret("secret:list", path),
    Remove: ({ path }) => secret("secret:write", path),
    // Who may take a secret away may take that back.
    Undelete: ({ path }) => secret("secret:write", path),
    Destroy: ({ path }) => secret("secret:destroy", path),
  },
};

/** Subjects by method path, as the interceptor looks them up. */
export const SUBJECT_BY_PATH: ReadonlyMap<string, (request: unknown, context: SubjectContext) => Subject> =
  new Map(
    Object.entries(METHODS).flatMap(([service, methods]) =>
      Object.entries(methods).map(([name, { path }]) => [path, subjectOf(service, name)] as const),
    ),
  );

/** The types tie each row to its method's request; by path that knowledge is lost, and the router restores it. */
function subjectOf(service: string, name: string): (request: unknown, context: SubjectContext) => Subject {
  const rows = SUBJECTS[service as keyof Table] as Readonly<Record<string, unknown>>;
  return rows[name] as (request: unknown, context: SubjectContext) => Subject;
}
