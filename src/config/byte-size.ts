import { GatehouseError } from "../core/index.ts";

const UNIT_BYTES: Readonly<Record<string, number>> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** `512B`, `64KiB`, `1MiB`, `2GiB`, to bytes. @throws GatehouseError `usage.bad-argument` for anything else. */
export function parseByteSize(text: string): number {
  const [, digits = "", unit = ""] = /^(\d{1,9})(B|KiB|MiB|GiB)$/.exec(text) ?? [];
  const sizeBytes = Number(digits) * (UNIT_BYTES[unit] ?? Number.NaN);
  if (digits !== "" && Number.isSafeInteger(sizeBytes)) return sizeBytes;
  throw new GatehouseError("usage.bad-argument", `not a size: ${JSON.stringify(text.slice(0, 40))}`, {
    hint: "write a whole number and a unit, such as 64KiB, 1MiB or 2GiB",
  });
}

export function formatByteSize(sizeBytes: number): string {
  const units = Object.entries(UNIT_BYTES).reverse();
  const [unit = "B", bytes = 1] = units.find(([, of]) => sizeBytes >= of && sizeBytes % of === 0) ?? [];
  return `${sizeBytes / bytes}${unit}`;
}
