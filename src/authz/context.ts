import { isIP } from "node:net";
import type { CedarValueJson, Context, EntityJson, TypeAndId } from "@cedar-policy/cedar-wasm/nodejs";
import type { DeviceId } from "../identity/index.ts";
import { deviceEntities, deviceUid } from "./entities.ts";
import { type Approval, type CallContext, UnfitRequest } from "./request.ts";

/** The context attributes of the schema, in the order in which memo keys hold them. */
export const CONTEXT_ATTRIBUTES = [
  "wire",
  "isEarlyData",
  "time",
  "remoteAddress",
  "approval",
  "argumentsHash",
  "arguments",
  "role",
] as const;

export type ContextAttribute = (typeof CONTEXT_ATTRIBUTES)[number];

/** Policies see the time to the second. */
export const TIME_GRAIN_MS = 1_000;

/** There is one call in a request, so one entity with its arguments. */
const ARGUMENTS: TypeAndId = { type: "Arguments", id: "call" };

/**
 * The context record that Cedar gets. The schema requires wire, early data and time, so they are always there;
 * an optional attribute that no loaded policy mentions is left out.
 *
 * @throws UnfitRequest for a time or an address that is none.
 */
export function cedarContext(call: CallContext, mentioned: ReadonlySet<ContextAttribute>): Context {
  const context: Context = { wire: call.wire, isEarlyData: call.isEarlyData, time: datetime(call.timeMs) };
  if (mentioned.has("remoteAddress") && call.remoteAddress !== undefined) {
    context["remoteAddress"] = { __extn: { fn: "ip", arg: plainAddress(call.remoteAddress) } };
  }
  if (mentioned.has("approval") && call.approval !== undefined) {
    context["approval"] = {
      id: call.approval.id,
      decidedBy: { __entity: deviceUid(approverId(call.approval)) },
    };
  }
  if (mentioned.has("argumentsHash") && call.argumentsHash !== undefined) {
    context["argumentsHash"] = call.argumentsHash;
  }
  if (mentioned.has("arguments") && call.arguments !== undefined) {
    context["arguments"] = { __entity: ARGUMENTS };
  }
  if (mentioned.has("role") && call.role !== undefined) context["role"] = call.role;
  return context;
}

/** What the context's own references point at: the approver, and the arguments as tags of one entity. */
export function contextEntities(call: CallContext, mentioned: ReadonlySet<ContextAttribute>): EntityJson[] {
  const entities: EntityJson[] = [];
  const decidedBy = call.approval?.decidedBy;
  if (mentioned.has("approval") && typeof decidedBy === "object") {
    entities.push(...deviceEntities(decidedBy.deviceId, decidedBy));
  }
  if (mentioned.has("arguments") && call.arguments !== undefined) {
    entities.push({ uid: ARGUMENTS, attrs: {}, parents: [], tags: { ...call.arguments } });
  }
  return entities;
}

function approverId({ decidedBy }: Approval): DeviceId {
  return typeof decidedBy === "string" ? decidedBy : decidedBy.deviceId;
}

function datetime(timeMs: number): CedarValueJson {
  const seconds = Math.floor(timeMs / TIME_GRAIN_MS);
  // Past the year 9999 Cedar has no literal.
  if (!Number.isSafeInteger(seconds) || seconds < 0 || seconds > 253_402_300_799) {
    throw new UnfitRequest("time out of range");
  }
  return { __extn: { fn: "datetime", arg: new Date(seconds * 1_000).toISOString() } };
}

/** Cedar's `ip` also takes ranges, and no IPv4 inside IPv6; a caller is one address. */
function plainAddress(address: string): string {
  const bare = address.replace(/%.*$/s, "").replace(/^::ffff:(?=\d+\.)/i, "");
  if (isIP(bare) === 0) throw new UnfitRequest("remote address is not an address");
  return bare;
}
