import { silentLogger } from "../../src/core/index.ts";
import { DEFAULT_CHECKPOINT_LIMITS } from "../../src/vault/checkpoint-schedule.ts";
import { localCheckpointer, openVaultKeyring } from "../../src/vault/index.ts";
import { openStore } from "../../src/vault/open-store.ts";
import { createVault, hasVault } from "../../src/vault/vault-folder.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { givenKek, type Opener } from "./store-world.ts";

/** As every vault does it, with nothing above it. */
export const openSqlStore: Opener = async (dir, { files, audit, clock }) => {
  const random = new SeededRandom(5);
  if (!(await hasVault(files, dir))) {
    await createVault({ files, dir, provider: givenKek, random, createdAt: clock.now() });
  }
  const keyring = await openVaultKeyring(dir, givenKek, { files, random });
  const { store } = await openStore({
    ...{ files, dir, keyring, random, clock, audit, logger: silentLogger },
    ...{ checkpointer: localCheckpointer({ files, random }), limits: DEFAULT_CHECKPOINT_LIMITS },
  });
  return store;
};
