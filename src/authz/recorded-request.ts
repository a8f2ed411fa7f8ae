import { type DeviceId, isDeviceId } from "../identity/index.ts";
import type { Decision } from "./decision.ts";
import {
  booleanOf,
  choiceOf,
  countOf,
  fieldsOf,
  listOf,
  Misshapen,
  mapOf,
  objectOf,
  optional,
  textOf,
  within,
} from "./json-shape.ts";
import {
  ACTIONS,
  type Approval,
  type AuthorizationRequest,
  type CallContext,
  type DeviceFacts,
  type Principal,
  type Resource,
} from "./request.ts";

/** A request that came, exact enough to be decided again. */
export interface RecordedRequest {
  /** With the time of the last time that it came. */
  readonly request: AuthorizationRequest;
  /** How often it came, whenever that was. */
  readonly count: number;
  /** Unix ms: when it came first. */
  readonly firstMs: number;
  /** What was decided the last time; at most 16 of the policies. */
  readonly decision: Pick<Decision, "kind" | "policies">;
}

/** A copy of its own that holds nothing else, its keys in one order always. */
export function plainRequest({
  principal,
  action,
  resource,
  context,
}: AuthorizationRequest): AuthorizationRequest {
  return {
    principal: plainPrincipal(principal),
    action,
    resource: plainResource(resource),
    context: plainContext(context),
  };
}

/** The request that JSON of a plain one stands for. @throws Misshapen */
export function requestOf(json: unknown, place: string): AuthorizationRequest {
  const fields = fieldsOf(json, place, { required: ["principal", "action", "resource", "context"] });
  return {
    principal: principalOf(fields["principal"], within(place, "principal")),
    action: choiceOf(fields["action"], within(place, "action"), ACTIONS),
    resource: resourceOf(fields["resource"], within(place, "resource")),
    context: contextOf(fields["context"], within(place, "context")),
  };
}

function plainPrincipal({ deviceId, ...facts }: Principal): Principal {
  return { deviceId, ...plainFacts(facts) };
}

function plainFacts({ roles, name, user }: DeviceFacts): DeviceFacts {
  return {
    roles: [...roles],
    name,
    user: user === undefined ? undefined : { id: user.id, roles: [...user.roles] },
  };
}

function plainResource(resource: Resource): Resource {
  switch (resource.kind) {
    case "secret":
    case "folder":
      return { kind: resource.kind, path: resource.path };
    case "device":
      return { kind: "device", id: resource.id, ...plainFacts(resource) };
    case "gatehouse":
      return { kind: "gatehouse", id: resource.id };
    case "policy":
      return { kind: "policy", id: resource.id };
    case "tool":
      return { kind: "tool", name: resource.name, groups: resource.groups && [...resource.groups] };
    case "profile":
      return { kind: "profile", name: resource.name };
    case "audit-log":
      return { kind: "audit-log" };
  }
}

function plainContext(context: CallContext): CallContext {
  const { wire, timeMs, isEarlyData, remoteAddress, approval, argumentsHash, role } = context;
  const values = context.arguments;
  return {
    ...{ wire, timeMs, isEarlyData, remoteAddress },
    approval: approval === undefined ? undefined : { id: approval.id, decidedBy: plainApprover(approval) },
    argumentsHash,
    arguments: values === undefined ? undefined : inOrder(values),
    role,
  };
}

function plainApprover({ decidedBy }: Approval): Approval["decidedBy"] {
  return typeof decidedBy === "string" ? decidedBy : plainPrincipal(decidedBy);
}

function inOrder(values: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function principalOf(json: unknown, place: string): Principal {
  const { deviceId, ...facts } = objectOf(json, place);
  return { deviceId: deviceIdOf(deviceId, within(place, "deviceId")), ...factsOf(facts, place) };
}

function factsOf(json: unknown, place: string): DeviceFacts {
  const { roles, name, user } = fieldsOf(json, place, { required: ["roles"], optional: ["name", "user"] });
  return {
    roles: texts(roles, within(place, "roles")),
    name: optional(name, within(place, "name"), textOf),
    user: optional(user, within(place, "user"), userOf),
  };
}

function userOf(json: unknown, place: string): NonNullable<DeviceFacts["user"]> {
  const { id, roles } = fieldsOf(json, place, { required: ["id", "roles"] });
  return { id: textOf(id, within(place, "id")), roles: texts(roles, within(place, "roles")) };
}

const RESOURCE_KINDS = [
  ...(["secret", "folder", "device", "gatehouse"] as const),
  ...(["policy", "tool", "profile", "audit-log"] as const),
];

function resourceOf(json: unknown, place: string): Resource {
  const { kind: given, ...rest } = objectOf(json, place);
  const kind = choiceOf(given, within(place, "kind"), RESOURCE_KINDS);
  const only = (name: string): [unknown, string] => [
    fieldsOf(rest, place, { required: [name] })[name],
    within(place, name),
  ];
  switch (kind) {
    case "secret":
    case "folder":
      return { kind, path: textOf(...only("path")) };
    case "device": {
      const { id, ...facts } = rest;
      return { kind, id: deviceIdOf(id, within(place, "id")), ...factsOf(facts, place) };
    }
    case "gatehouse":
      return { kind, id: deviceIdOf(...only("id")) };
    case "policy":
      return { kind, id: textOf(...only("id")) };
    case "tool": {
      const { name, groups } = fieldsOf(rest, place, { required: ["name"], optional: ["groups"] });
      return {
        kind,
        name: textOf(name, within(place, "name")),
        groups: optional(groups, within(place, "groups"), texts),
      };
    }
    case "profile":
      return { kind, name: textOf(...only("name")) };
    case "audit-log":
      fieldsOf(rest, place, {});
      return { kind };
  }
}

function contextOf(json: unknown, place: string): CallContext {
  const fields = fieldsOf(json, place, {
    required: ["wire", "timeMs", "isEarlyData"],
    optional: ["remoteAddress", "approval", "argumentsHash", "arguments", "role"],
  });
  const at = (name: string): [unknown, string] => [fields[name], within(place, name)];
  return {
    wire: choiceOf(...at("wire"), ["quic", "grpc"]),
    timeMs: countOf(...at("timeMs")),
    isEarlyData: booleanOf(...at("isEarlyData")),
    remoteAddress: optional(...at("remoteAddress"), textOf),
    approval: optional(...at("approval"), approvalOf),
    argumentsHash: optional(...at("argumentsHash"), textOf),
    arguments: optional(...at("arguments"), (values, where) => mapOf(values, where, textOf)),
    role: optional(...at("role"), textOf),
  };
}

function approvalOf(json: unknown, place: string): Approval {
  const { id, decidedBy } = fieldsOf(json, place, { required: ["id", "decidedBy"] });
  const at = within(place, "decidedBy");
  return {
    id: textOf(id, within(place, "id")),
    decidedBy: typeof decidedBy === "string" ? deviceIdOf(decidedBy, at) : principalOf(decidedBy, at),
  };
}

function deviceIdOf(json: unknown, place: string): DeviceId {
  const text = textOf(json, place);
  if (isDeviceId(text)) return text;
  throw new Misshapen(place, "is not a device id");
}

function texts(json: unknown, place: string): readonly string[] {
  return listOf(json, place, textOf);
}
