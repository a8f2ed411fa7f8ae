import { randomFillSync } from "node:crypto";

/** Chance as an argument. The system's one is cryptographic; a seeded one is for tests only. */
export interface Random {
  /** `length` fresh bytes, owned by the caller. */
  bytes(length: number): Uint8Array;
}

export const systemRandom: Random = {
  bytes: (length) => randomFillSync(new Uint8Array(length)),
};
