/** What each method asks for, in the policies' words: one action on one resource. A method without a row does not compile. */
import type { Action, Resource } from "../authz/index.ts";
import { METHODS } from "../gen/index.ts";
import type { DeviceId } from "../identity/index.ts";
import { parseFolderPath, parseSecretPath } from "../vault/index.ts";

export interface Subject {
  readonly action: Action;
  readonly resource: Resource;
}

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
}

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

export const SUBJECTS: Table = {
  Health: {
    Ping: (_request, context) => gatehouse("gatehouse:ping", context),
    Status: (_request, context) => gatehouse("gatehouse:status", context),
  },
  Device: {
    List: (_request, context) => gatehouse("device:list", context),
    Show: (_request, context) => gatehouse("device:list", context),
    Revoke: ({ device }, context) => knownDevice("device:revoke", device, context),
    Release: ({ device }, context) => knownDevice("device:release", device, context),
    Rename: ({ device }, context) => knownDevice("device:rename", device, context),
    Grant: ({ device }, context) => knownDevice("device:grant", device, context),
    Ungrant: ({ device }, context) => knownDevice("device:grant", device, context),
    Readmit: ({ device }, context) => knownDevice("device:readmit", device, context),
    Renew: (_request, context) => knownDevice("device:renew-self", context.callerId, context),
  },
  Backup: {
    Create: (_request, context) => gatehouse("backup:create", context),
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
    Open: (_request, context) => gatehouse("pair:open", context),
    Waiting: (_request, context) => gatehouse("pair:open", context),
    Decide: ({ device }, { findJoiner }) => ({
      action: "device:approve",
      resource: { kind: "device", ...findJoiner(device) },
    }),
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

/** How the audit log names a resource. */
export function resourceName(resource: Resource): string {
  switch (resource.kind) {
    case "gatehouse":
    case "device":
    case "policy":
      return `${resource.kind}:${resource.id}`;
    case "secret":
    case "folder":
      return `${resource.kind}:${resource.path}`;
    case "tool":
    case "profile":
      return `${resource.kind}:${resource.name}`;
    case "audit-log":
      return resource.kind;
  }
}
