import { createHash } from "node:crypto";
import { fromUtf8, utf8 } from "../../src/core/index.ts";

/** What an attempt stores: it tells which one it was, and whether all of it is there. */
export function killValue(path: string, attempt: number): Uint8Array {
  const seed = createHash("sha256").update(`${path} ${attempt}`).digest("hex");
  return utf8(`${attempt} ${seed.repeat(1 + (attempt % 40))}`);
}

/** The attempt whose whole value this is; `undefined` for anything else. */
export function attemptIn(path: string, value: Uint8Array): number | undefined {
  const attempt = Number(fromUtf8(value).split(" ")[0]);
  const isWhole = Number.isInteger(attempt) && Buffer.from(killValue(path, attempt)).equals(value);
  return isWhole ? attempt : undefined;
}
