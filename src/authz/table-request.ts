/** What a row of a policy table asks. */
import {
  booleanOf,
  choiceOf,
  type Fields,
  fieldsOf,
  listOf,
  Misshapen,
  mapOf,
  optional,
  textOf,
  within,
} from "./json-shape.ts";
import type { CallContext, Resource } from "./request.ts";
import type { Cast } from "./table-cast.ts";

/** Keys of a row that say what it is about; each row has one. */
export const RESOURCE_KEYS = [
  "secret",
  "folder",
  "device",
  "tool",
  "profile",
  "policy",
  "gatehouse",
  "auditLog",
] as const;

/** When nothing else is said. */
const NOON_MS = Date.UTC(2026, 0, 1, 12);
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?Z$/;

export function resourceOf(row: Fields, place: string, cast: Cast): Resource {
  const [key, ...others] = RESOURCE_KEYS.filter((name) => row[name] !== undefined);
  if (key === undefined || others.length > 0) {
    throw new Misshapen(place, `has not one of ${RESOURCE_KEYS.join(", ")}`);
  }
  if (row["groups"] !== undefined && key !== "tool") throw new Misshapen(place, "has groups, and no tool");
  const [json, at] = [row[key], within(place, key)];
  switch (key) {
    case "secret":
    case "folder":
      return { kind: key, path: cast.filledIn(json, at) };
    case "device":
      return deviceOf(json, at, cast);
    case "tool":
      return {
        kind: "tool",
        name: textOf(json, at),
        groups: optional(row["groups"], within(place, "groups"), texts),
      };
    case "profile":
      return { kind: "profile", name: cast.filledIn(json, at) };
    case "policy":
      return { kind: "policy", id: cast.filledIn(json, at) };
    case "gatehouse":
      onlyTrue(json, at);
      return { kind: "gatehouse", id: cast.gatehouse(at) };
    case "auditLog":
      onlyTrue(json, at);
      return { kind: "audit-log" };
  }
}

export function contextOf(json: unknown, place: string, cast: Cast): CallContext {
  const names = ["wire", "remoteAddress", "arguments", "approval", "time", "isEarlyData", "role"];
  const fields = json === undefined ? {} : fieldsOf(json, place, { optional: names });
  const at = (name: string): [unknown, string] => [fields[name], within(place, name)];
  return {
    wire: optional(...at("wire"), (wire, where) => choiceOf(wire, where, ["quic", "grpc"])) ?? "quic",
    timeMs: optional(...at("time"), timeOf) ?? NOON_MS,
    isEarlyData: optional(...at("isEarlyData"), booleanOf) ?? false,
    remoteAddress: optional(...at("remoteAddress"), textOf),
    approval: optional(...at("approval"), (approval, where) => approvalOf(approval, where, cast)),
    arguments: optional(...at("arguments"), (values, where) => mapOf(values, where, textOf)),
    role: optional(...at("role"), textOf),
  };
}

function deviceOf(json: unknown, place: string, cast: Cast): Resource {
  const { deviceId, ...facts } = cast.principal(json, place);
  return { kind: "device", id: deviceId, ...facts };
}

function approvalOf(json: unknown, place: string, cast: Cast): CallContext["approval"] {
  const { by } = fieldsOf(json, place, { required: ["by"] });
  return { id: "approval", decidedBy: cast.principal(by, within(place, "by")) };
}

function timeOf(json: unknown, place: string): number {
  const text = textOf(json, place);
  const timeMs = TIME.test(text) ? Date.parse(text) : Number.NaN;
  // JavaScript takes the 30th of February for the 2nd of March.
  if (!Number.isNaN(timeMs) && new Date(timeMs).toISOString().startsWith(text.slice(0, 19))) return timeMs;
  throw new Misshapen(place, "is not a time such as 2026-11-23T12:00:00Z");
}

function texts(json: unknown, place: string): readonly string[] {
  return listOf(json, place, textOf);
}

function onlyTrue(json: unknown, place: string): void {
  if (json !== true) throw new Misshapen(place, "is not true");
}
