import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Overwrites what has been freed: small things and large ones, as the allocator keeps them apart. Some 20 MiB, more than the
 * door leaves behind; kilobytes that the system gives in one piece (128 KiB and more) go back to it when they are freed.
 */
const SCRUBS: readonly { readonly sizeBytes: number; readonly count: number }[] = [
  { sizeBytes: 98_304, count: 32 },
  { sizeBytes: 65_536, count: 48 },
  { sizeBytes: 16_384, count: 192 },
  { sizeBytes: 8_192, count: 384 },
  { sizeBytes: 4_096, count: 512 },
  { sizeBytes: 2_048, count: 512 },
  { sizeBytes: 1_024, count: 1_024 },
  ...[768, 512, 384, 256, 192].map((sizeBytes) => ({ sizeBytes, count: 2_048 })),
  ...[160, 128, 112, 96, 80, 72].map((sizeBytes) => ({ sizeBytes, count: 4_096 })),
];

/**
 * Makes what nothing refers to any more go for good: the engine frees it, twice, since what the first run finalizes the second
 * one frees; then what the allocator has free is taken once and zeroed. A few hundred milliseconds at most, for the moment of
 * sealing alone.
 */
export async function forgetPlaintext(): Promise<void> {
  const collect = collector();
  for (let round = 0; round < 2; round += 1) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  scrub();
  collect();
}

function collector(): () => void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  setFlagsFromString("--no-expose-gc");
  return typeof collect === "function" ? () => void collect() : () => undefined;
}

/** All at once, so that none gets the place of one before. */
function scrub(): number {
  const taken = SCRUBS.flatMap(({ sizeBytes, count }) =>
    Array.from({ length: count }, () => new ArrayBuffer(sizeBytes)),
  );
  return taken.length;
}
