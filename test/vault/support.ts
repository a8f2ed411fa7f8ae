import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { utf8 } from "../../src/core/index.ts";
import {
  type AuditSink,
  type KekProvider,
  keyFileProvider,
  type Mutation,
  parseSecretPath,
  Vault,
  type VaultOptions,
} from "../../src/vault/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";

/** An audit log in memory: remembers what it was told, and survives the vaults that tell it. */
export class MemoryAudit implements AuditSink {
  readonly entries: { readonly sequence: number; readonly events: readonly Uint8Array[] }[] = [];
  syncs = 0;

  get lastJournalSequence(): number {
    return this.entries.at(-1)?.sequence ?? 0;
  }

  committed(sequence: number, events: readonly Uint8Array[]): void {
    this.entries.push({ sequence, events });
  }

  sync(): Promise<void> {
    this.syncs += 1;
    return Promise.resolve();
  }
}

/** A folder for a vault and one for its key, gone with the test. */
export class VaultPlace implements AsyncDisposable {
  readonly root: string;
  readonly dir: string;
  readonly keys: string;
  readonly kek: KekProvider;
  readonly clock = new ManualClock();
  readonly random: SeededRandom;
  audit = new MemoryAudit();

  private constructor(root: string) {
    this.root = root;
    this.dir = join(root, "vault");
    this.keys = join(root, "keys");
    this.random = new SeededRandom(7);
    this.kek = keyFileProvider({ dir: this.keys, random: this.random });
  }

  static async make(): Promise<VaultPlace> {
    return new VaultPlace(await mkdtemp(join(tmpdir(), "gatehouse-vault-")));
  }

  options(more: Partial<VaultOptions> = {}): VaultOptions {
    const { dir, kek, clock, random, audit } = this;
    return { dir, kek, clock, random, audit, ...more };
  }

  async open(more: Partial<VaultOptions> = {}): Promise<Vault> {
    return await Vault.openOrCreate(this.options(more));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }
}

export function event<Result>(text = "event"): Mutation<Result> {
  return { audit: utf8(text) };
}

export async function put(vault: Vault, path: string, value: string, ifVersion?: number): Promise<number> {
  const input = { path: parseSecretPath(path), value: utf8(value), createdBy: "tester" };
  const withVersion = ifVersion === undefined ? input : { ...input, ifVersion };
  return (await vault.secrets.put(withVersion, event(`put ${path}`))).version;
}

export async function read(vault: Vault, path: string, version?: number): Promise<string> {
  return new TextDecoder().decode((await vault.secrets.get(parseSecretPath(path), version)).value);
}

export async function remove(vault: Vault, path: string): Promise<number> {
  return (await vault.secrets.remove({ path: parseSecretPath(path) }, event(`remove ${path}`))).version;
}
