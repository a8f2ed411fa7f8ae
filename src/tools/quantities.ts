import type { ConfigTable } from "./config-table.ts";

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const UNIT_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 1_024,
  MiB: 1_048_576,
  GiB: 1_073_741_824,
};

/** A text such as `500ms`, `30s`, `5m`, in ms. @throws GatehouseError `config.invalid`. */
export function durationMs(table: ConfigTable, key: string, maxMs: number): number | undefined {
  const text = table.text(key, { lengthMax: 32 });
  if (text === undefined) return undefined;
  const [, digits = "", unit = ""] = /^(\d{1,9})(ms|s|m|h)$/.exec(text) ?? [];
  const ms = Number(digits) * (UNIT_MS[unit] ?? 0);
  if (ms > 0 && ms <= maxMs) return ms;
  const hint = `write a whole number and a unit, such as 500ms, 30s or 5m, at most ${maxMs / 1_000}s`;
  throw table.fault(key, ms === 0 ? "not a duration" : "too long", hint);
}

/** A text such as `512KiB`, `1MiB`, in bytes. @throws GatehouseError `config.invalid`. */
export function sizeBytes(table: ConfigTable, key: string, maxBytes: number): number | undefined {
  const text = table.text(key, { lengthMax: 32 });
  if (text === undefined) return undefined;
  const [, digits = "", unit = ""] = /^(\d{1,9})(B|KiB|MiB|GiB)$/.exec(text) ?? [];
  const bytes = Number(digits) * (UNIT_BYTES[unit] ?? 0);
  if (bytes > 0 && bytes <= maxBytes) return bytes;
  const hint = `write a whole number and a unit, such as 64KiB or 1MiB, at most ${maxBytes}B`;
  throw table.fault(key, bytes === 0 ? "not a size" : "too large", hint);
}
