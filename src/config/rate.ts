import { GatehouseError } from "../core/index.ts";

/** So many in each period, and as many at once. */
export interface Rate {
  readonly count: number;
  readonly periodMs: number;
}

const PERIOD_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const COUNT_MAX = 1_000_000;

/** `50/s`, `30/m`, `10/h`, `5/d`. @throws GatehouseError `usage.bad-argument` for anything else, zero included. */
export function parseRate(text: string): Rate {
  const [, digits = "", unit = ""] = /^(\d{1,7})\/([smhd])$/.exec(text) ?? [];
  const rate = { count: Number(digits), periodMs: PERIOD_MS[unit] ?? 0 };
  if (rate.count >= 1 && rate.count <= COUNT_MAX && rate.periodMs > 0) return rate;
  throw new GatehouseError("usage.bad-argument", `not a rate: ${JSON.stringify(text.slice(0, 40))}`, {
    hint: "write a number, a slash and a unit, such as 50/s, 30/m or 10/h",
  });
}

export function formatRate({ count, periodMs }: Rate): string {
  const [unit = "s"] = Object.entries(PERIOD_MS).find(([, ms]) => ms === periodMs) ?? [];
  return `${count}/${unit}`;
}
