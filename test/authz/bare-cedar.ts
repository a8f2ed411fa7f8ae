import { createRequire } from "node:module";
import type * as Cedar from "@cedar-policy/cedar-wasm/nodejs";
import type { AuthorizationRequest, CallContext, DeviceFacts, Resource } from "../../src/authz/index.ts";

/** The engine itself, in an instance that no authorizer uses. */
export const cedar = createRequire(import.meta.url)("@cedar-policy/cedar-wasm/nodejs") as typeof Cedar;

let parsedSchema: string | undefined;

export interface BareAnswer {
  readonly isAllowed: boolean;
  readonly policies: readonly string[];
  readonly hasErrors: boolean;
}

/** What Cedar says by itself of these policies, given by id; to be asked until the next set is given. */
export function bareCedar(
  schema: string,
  policies: Readonly<Record<string, string>>,
): (request: AuthorizationRequest) => BareAnswer {
  // Once: it takes as long as hundreds of decisions.
  if (schema !== parsedSchema && cedar.preparseSchema("bare", schema).type === "failure") {
    throw new TypeError("the schema does not parse");
  }
  parsedSchema = schema;
  const parsed = cedar.preparsePolicySet("bare", { staticPolicies: { ...policies } });
  if (parsed.type === "failure") throw new TypeError("the policies do not parse");
  // What the approver is, when no policy asks, must not matter; two stories about it are none.
  const seesApprover = /approval|\[context\]/.test(Object.values(policies).join());
  return (request) => {
    const answer = cedar.statefulIsAuthorized({
      ...bareCall(request, seesApprover),
      validateRequest: true,
      preparsedSchemaName: "bare",
      preparsedPolicySetId: "bare",
    });
    if (answer.type === "failure") return { isAllowed: false, policies: [], hasErrors: true };
    const { decision, diagnostics } = answer.response;
    return {
      isAllowed: decision === "allow",
      policies: [...diagnostics.reason].sort(),
      hasErrors: diagnostics.errors.length > 0,
    };
  };
}

/** With the whole context, and with the tree of secrets as a chain of Folder entities. */
function bareCall(
  { principal, action, resource, context }: AuthorizationRequest,
  seesApprover: boolean,
): {
  principal: Cedar.TypeAndId;
  action: Cedar.TypeAndId;
  resource: Cedar.TypeAndId;
  context: Cedar.Context;
  entities: Cedar.EntityJson[];
} {
  const [uid, entities] = resourceEntities(resource);
  const approver = context.approval?.decidedBy;
  return {
    principal: { type: "Device", id: principal.deviceId },
    action: { type: "Action", id: action },
    resource: uid,
    context: bareContext(context),
    entities: unique([
      ...device(principal.deviceId, principal),
      ...entities,
      ...(seesApprover && typeof approver === "object" ? device(approver.deviceId, approver) : []),
      { uid: { type: "Arguments", id: "these" }, attrs: {}, parents: [], tags: { ...context.arguments } },
    ]),
  };
}

function bareContext(context: CallContext): Cedar.Context {
  const { wire, isEarlyData, timeMs, remoteAddress, approval, argumentsHash, role } = context;
  const time = { __extn: { fn: "datetime", arg: new Date(timeMs - (timeMs % 1_000)).toISOString() } };
  const bare: Cedar.Context = { wire, isEarlyData, time };
  if (remoteAddress !== undefined) bare["remoteAddress"] = { __extn: { fn: "ip", arg: remoteAddress } };
  if (argumentsHash !== undefined) bare["argumentsHash"] = argumentsHash;
  if (role !== undefined) bare["role"] = role;
  if (context.arguments !== undefined) bare["arguments"] = { __entity: { type: "Arguments", id: "these" } };
  if (approval !== undefined) {
    const { id, decidedBy } = approval;
    const device = typeof decidedBy === "string" ? decidedBy : decidedBy.deviceId;
    bare["approval"] = { id, decidedBy: { __entity: { type: "Device", id: device } } };
  }
  return bare;
}

function device(id: string, { roles, name, user }: DeviceFacts): Cedar.EntityJson[] {
  const role = (roleId: string): Cedar.TypeAndId => ({ type: "Role", id: roleId });
  const attrs = name === undefined ? {} : { name };
  const own = { uid: { type: "Device", id }, attrs, parents: roles.map(role) };
  if (user === undefined) return [own];
  const owner = { type: "User", id: user.id };
  return [
    { ...own, parents: [...own.parents, owner] },
    { uid: owner, attrs: {}, parents: user.roles.map(role) },
  ];
}

function resourceEntities(resource: Resource): readonly [Cedar.TypeAndId, Cedar.EntityJson[]] {
  switch (resource.kind) {
    case "secret": {
      const uid = { type: "Secret", id: resource.path };
      return [uid, [{ ...folder(resource.path), uid }, ...foldersAbove(resource.path)]];
    }
    case "folder":
      return [{ type: "Folder", id: resource.path }, [folder(resource.path), ...foldersAbove(resource.path)]];
    case "device":
      return [{ type: "Device", id: resource.id }, device(resource.id, resource)];
    case "tool": {
      const uid = { type: "Tool", id: resource.name };
      const parents = (resource.groups ?? []).map((id) => ({ type: "ToolGroup", id }));
      return [uid, [{ uid, attrs: {}, parents }]];
    }
    case "gatehouse":
      return [{ type: "Gatehouse", id: resource.id }, []];
    case "policy":
      return [{ type: "Policy", id: resource.id }, []];
    case "profile":
      return [{ type: "Profile", id: resource.name }, []];
    case "audit-log":
      return [{ type: "AuditLog", id: "log" }, []];
  }
}

function folder(path: string): Cedar.EntityJson {
  const isOwn = path.split("/").length > 1 && path.startsWith("devices/");
  const owner = { __entity: { type: "Device", id: path.split("/")[1] ?? "" } };
  const parents = path === "" ? [] : [{ type: "Folder", id: above(path) }];
  return { uid: { type: "Folder", id: path }, attrs: isOwn ? { path, owner } : { path }, parents };
}

function foldersAbove(path: string): Cedar.EntityJson[] {
  return path === "" ? [] : [folder(above(path)), ...foldersAbove(above(path))];
}

function above(path: string): string {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
}

function unique(entities: readonly Cedar.EntityJson[]): Cedar.EntityJson[] {
  return [...new Map(entities.map((entity) => [JSON.stringify(entity), entity])).values()];
}
