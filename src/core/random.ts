import { randomFillSync } from "node:crypto";

/** Chance as an argument. The system's one is cryptographic; a seeded one is for tests only. */
export interface Random {
  /** `length` fresh bytes, owned by the caller. */
  bytes(length: number): Uint8Array;
}

/** Request ids and salts are short and many; each call to the generator costs ten times what their bytes do. */
const POOL_BYTES = 4_096;
const POOLED_BYTES_MAX = 64;
const pool = new Uint8Array(POOL_BYTES);
let used = POOL_BYTES;

export const systemRandom: Random = {
  bytes: (length) => (length > POOLED_BYTES_MAX ? randomFillSync(new Uint8Array(length)) : fromPool(length)),
};

/** Bytes that were handed out are wiped here: nobody gets them twice. */
function fromPool(length: number): Uint8Array {
  if (used + length > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  const bytes = pool.slice(used, used + length);
  pool.fill(0, used, used + length);
  used += length;
  return bytes;
}
