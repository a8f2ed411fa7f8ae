import { GatehouseError } from "../core/index.ts";

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * `500ms`, `120s`, `2m`, `1h`, `30d`: a whole number and a unit, to milliseconds.
 *
 * @throws GatehouseError `usage.bad-argument` for anything else, zero included, and above 365 days.
 */
export function parseDuration(text: string): number {
  const [, digits = "", unit = ""] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  const durationMs = Number(digits) * (UNIT_MS[unit] ?? 0);
  if (durationMs > 0 && durationMs <= 365 * 86_400_000) return durationMs;
  throw new GatehouseError("usage.bad-argument", `not a duration: ${JSON.stringify(text.slice(0, 40))}`, {
    hint: "write a whole number and a unit, such as 500ms, 120s, 2m or 1h",
  });
}
