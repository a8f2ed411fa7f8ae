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

/** For commander: every value of a flag that may be given again and again. */
export function gathered(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** Labels; what keys and values may be, the gatehouse knows. @throws GatehouseError as `parsePairs` */
export function parseLabels(texts: readonly string[]): Readonly<Record<string, string>> {
  return parsePairs(texts, "--label");
}

/**
 * `KEY=VALUE` each.
 *
 * @throws GatehouseError `usage.bad-argument` for one without `=` or without a key, or a key given twice.
 */
export function parsePairs(texts: readonly string[], flag: string): Readonly<Record<string, string>> {
  const pairs = new Map<string, string>();
  for (const text of texts) {
    const [, key = "", value = ""] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
    if (key === "" || pairs.has(key)) {
      const fault = key === "" ? `${flag} takes KEY=VALUE` : `${flag} ${key} is given twice`;
      throw new GatehouseError("usage.bad-argument", fault, { hint: `for example ${flag} env=prod` });
    }
    pairs.set(key, value);
  }
  return Object.fromEntries(pairs);
}

/** What `--if-version` says, for a request. @throws GatehouseError `usage.bad-argument`. */
export function versionCondition(text: string | undefined): { readonly ifVersion?: number } {
  return text === undefined ? {} : { ifVersion: parseCount(text, "--if-version") };
}

/** What `--version` says; 0, the newest, without it. @throws GatehouseError `usage.bad-argument`. */
export function versionNumber(text: string | undefined): number {
  return text === undefined ? 0 : parseCount(text, "--version", { min: 1 });
}
