/** Throw-away keys of the golden vaults: good for nothing else, and known to everybody. */
import { generateRecoveryKey, type RecoveryKey } from "../../../src/keystore/index.ts";
import { SeededRandom } from "../../support/seeded-random.ts";

export const GOLDEN_PASSPHRASE = "known to everybody who reads this";

export function goldenRecoveryKey(): RecoveryKey {
  return generateRecoveryKey(new SeededRandom(2_026));
}
