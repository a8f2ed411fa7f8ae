import { AuditLog } from "../audit/index.ts";
import { type Clock, invariant, type Logger, type Random, type Resources } from "../core/index.ts";
import { LABELS } from "../crypto/index.ts";
import type { HomeLayout } from "../files/index.ts";
import { type KeyProvider, keyFileProvider } from "../keystore/index.ts";
import { Vault, type VaultOptions } from "../vault/index.ts";

export interface Effects {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface Storage {
  readonly vault: Vault;
  readonly audit: AuditLog;
}

/**
 * Opens (or, for a new home, makes) the vault and the audit log under a key of it. Owned by `resources`, which close
 * the vault first: its last events still find the log.
 */
export async function openStorage(
  layout: HomeLayout,
  input: {
    readonly keyDir: string;
    readonly kek?: KeyProvider | undefined;
    readonly mode: "create" | "open";
  },
  { clock, random, logger }: Effects,
  resources: Resources,
): Promise<Storage> {
  let audit: AuditLog | undefined;
  const options: VaultOptions = {
    ...{ dir: layout.vaultDir, clock, random, logger },
    kek: input.kek ?? keyFileProvider({ dir: input.keyDir, random }),
    audit: async (deriveKey) => {
      const key = deriveKey(LABELS.auditLog);
      audit = resources.use(await AuditLog.open({ dir: layout.auditDir, key, clock, random, logger }));
      return audit;
    },
  };
  const vault = resources.use(
    await (input.mode === "create" ? Vault.openOrCreate(options) : Vault.open(options)),
  );
  invariant(audit !== undefined, "the vault opens its audit log");
  return { vault, audit };
}
