/** Values of flags and arguments, checked. */
import { GatehouseError } from "../core/index.ts";

/** @throws GatehouseError `usage.bad-argument` unless `text` is a whole number from `min` to `max`. */
export function parseCount(
  text: string,
  flag: string,
  { min = 0, max = Number.MAX_SAFE_INTEGER } = {},
): number {
  const count = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (count >= min && count <= max) return count;
  const range = max === Number.MAX_SAFE_INTEGER ? `from ${min} on` : `from ${min} to ${max}`;
  throw new GatehouseError("usage.bad-argument", `${flag} is a whole number ${range}`, {
    hint: `for example ${flag} ${Math.max(min, 1)}`,
  });
}
