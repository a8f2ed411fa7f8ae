import { isIP } from "node:net";
import type { CedarValueJson, Context } from "@cedar-policy/cedar-wasm/nodejs";
import { deviceUid } from "./entities.ts";
import { type CallContext, UnfitRequest } from "./request.ts";

/** The context attributes of the schema, in the order in which memo keys hold them. */
export const CONTEXT_ATTRIBUTES = [
  "wire",
  "isEarlyData",
  "time",
  "remoteAddress",
  "approval",
  "argumentsHash",
] as const;

export type ContextAttribute = (typeof CONTEXT_ATTRIBUTES)[number];

const TIME_GRAIN_MS = 1_000;

/** One attribute as the memo keys it: equal keys mean that Cedar would be given equal values. */
export function contextKey(context: CallContext, attribute: ContextAttribute): unknown {
  switch (attribute) {
    case "wire":
      return context.wire;
    case "isEarlyData":
      return context.isEarlyData;
    case "time":
      return Math.floor(context.timeMs / TIME_GRAIN_MS);
    case "remoteAddress":
      return context.remoteAddress;
    case "approval":
      return context.approval === undefined ? undefined : [context.approval.id, context.approval.decidedBy];
    case "argumentsHash":
      return context.argumentsHash;
  }
}

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
      decidedBy: { __entity: deviceUid(call.approval.decidedBy) },
    };
  }
  if (mentioned.has("argumentsHash") && call.argumentsHash !== undefined) {
    context["argumentsHash"] = call.argumentsHash;
  }
  return context;
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
