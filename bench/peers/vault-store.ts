import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AuditLog } from "../../src/audit/index.ts";
import { Resources, systemClock, systemRandom, utf8 } from "../../src/core/index.ts";
import { LABELS } from "../../src/crypto/index.ts";
import {
  type AuditSink,
  keyFileProvider,
  parseSecretPath,
  threadCheckpointer,
  Vault,
} from "../../src/vault/index.ts";
import type { SecretStore } from "./secret-store.ts";

const CREATED_BY = "bench";

/** Hears of every event and keeps none; at its end notes how far it heard, or the vault would not open again. */
class DroppingAudit implements AuditSink, AsyncDisposable {
  lastJournalSequence: number;
  readonly #path: string;

  private constructor(path: string, lastJournalSequence: number) {
    this.#path = path;
    this.lastJournalSequence = lastJournalSequence;
  }

  static async open(path: string): Promise<DroppingAudit> {
    return new DroppingAudit(path, existsSync(path) ? Number(await readFile(path, "utf8")) : 0);
  }

  committed(sequence: number): void {
    this.lastJournalSequence = sequence;
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await writeFile(this.#path, String(this.lastJournalSequence));
  }
}

/** Our vault as the daemon opens it, in this process. */
export class VaultSecretStore implements SecretStore {
  readonly #resources: Resources;
  readonly #vault: Vault;
  readonly #keys: string;
  readonly #event: (path: string) => Uint8Array;
  #captures = 0;

  private constructor(parts: {
    readonly resources: Resources;
    readonly vault: Vault;
    readonly keys: string;
    readonly event: (path: string) => Uint8Array;
  }) {
    this.#resources = parts.resources;
    this.#vault = parts.vault;
    this.#keys = parts.keys;
    this.#event = parts.event;
  }

  static async open(dir: string, audit: "kept" | "dropped"): Promise<VaultSecretStore> {
    await using resources = new Resources();
    const [clock, random, keys] = [systemClock, systemRandom, join(dir, "keys")];
    let event = (path: string): Uint8Array => utf8(path);
    const vault = await Vault.openOrCreate({
      ...{ dir: join(dir, "vault"), clock, random },
      kek: keyFileProvider({ dir: keys, random }),
      // The product's thread, behind a loader: this runs from source.
      checkpointer: threadCheckpointer(new URL("../support/checkpoint-worker.mjs", import.meta.url)),
      audit: async (deriveKey) => {
        if (audit === "dropped") return resources.use(await DroppingAudit.open(join(dir, "heard")));
        const key = deriveKey(LABELS.auditLog);
        const log = resources.use(await AuditLog.open({ dir: join(dir, "audit"), key, clock, random }));
        event = (path) => log.encodeEvent({ ...PUT, resource: `secret:${path}` });
        return log;
      },
    });
    resources.use(vault);
    return new VaultSecretStore({ resources: resources.move(), vault, keys, event });
  }

  async put(path: string, value: Uint8Array): Promise<void> {
    const input = { path: parseSecretPath(path), value, createdBy: CREATED_BY };
    await this.#vault.secrets.put(input, { audit: this.#event(path) });
  }

  async get(path: string): Promise<Uint8Array> {
    const { value } = await this.#vault.secrets.get(parseSecretPath(path));
    return value;
  }

  async checkpoint(): Promise<void> {
    await this.#vault.store.checkpoint();
  }

  async capture(): Promise<void> {
    this.#captures += 1;
    const dir = join(this.#keys, `capture-${process.pid}-${this.#captures}`);
    const provider = keyFileProvider({ dir, random: systemRandom });
    using _captured = await this.#vault.capture({ provider, mark: () => Promise.resolve() });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]();
  }
}

const PUT = { principal: CREATED_BY, action: "secret:write", outcome: "done" } as const;
