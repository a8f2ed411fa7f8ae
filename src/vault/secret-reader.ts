import { type Clock, copyOf, GatehouseError } from "../core/index.ts";
import { gatehouse } from "../gen/index.ts";
import { bindingOf, termOf, unwrapKey, valueOpener } from "./envelope.ts";
import type { Keyring } from "./keyring.ts";
import { type Live, type Readable, ReadCache } from "./read-cache.ts";
import type { SecretPath } from "./secret-path.ts";
import {
  headOf,
  isExpired,
  isRemoved,
  keptVersions,
  liveVersion,
  notFound,
  recordDamaged,
  versionKey,
} from "./secret-records.ts";
import type { SecretValue, VersionName } from "./secret-types.ts";
import type { VaultStore } from "./store.ts";
import type { Transaction } from "./transaction.ts";

const { StoredVersion } = gatehouse.v1;

/** Opens values, and remembers what it took for those read lately. */
export class SecretReader {
  readonly #store: VaultStore;
  readonly #keyring: Keyring;
  readonly #clock: Clock;
  readonly #cache = new ReadCache();

  constructor(parts: { readonly store: VaultStore; readonly keyring: Keyring; readonly clock: Clock }) {
    this.#store = parts.store;
    this.#keyring = parts.keyring;
    this.#clock = parts.clock;
    this.#store.subscribe((transaction) => this.#follow(transaction));
  }

  /** As `Secrets.get`. */
  read(path: SecretPath, version: number | undefined): SecretValue {
    const live = version === undefined ? this.#live(path) : this.#kept(path, version);
    const readable =
      this.#cache.get(versionKey({ path, version: live.version })) ??
      this.#open({ path, version: live.version });
    const value = readable.open();
    if (value === undefined) throw recordDamaged();
    const { createdAt, contentType, expiresAt } = readable;
    return { version: live.version, value, createdAt, contentType, expiresAt, labels: live.labels };
  }

  #live(path: SecretPath): Live {
    const now = this.#clock.now();
    const live = this.#cache.live(path) ?? this.#findLive(path, now);
    if (isExpired(live.expiresAt, now)) throw notFound();
    return live;
  }

  #findLive(path: SecretPath, now: number): Live {
    const head = headOf(this.#store, path);
    const version = liveVersion(head, now);
    if (version === 0) throw notFound();
    const live = { version, expiresAt: head.expiresAt, labels: head.labels };
    this.#cache.setLive(path, live);
    return live;
  }

  #kept(path: SecretPath, version: number): Omit<Live, "expiresAt"> {
    const head = headOf(this.#store, path);
    if (head.latestVersion === 0 || isRemoved(head)) throw notFound();
    if (version > head.removedThrough && this.#isKept({ path, version })) {
      return { version, labels: head.labels };
    }
    const kept = keptVersions(this.#store, path, { above: head.removedThrough, now: this.#clock.now() });
    throw new GatehouseError("vault.version-not-found", `there is no version ${version} to read`, {
      hint: `versions that can be read: ${kept.map((facts) => facts.version).join(", ") || "none"}`,
    });
  }

  #isKept(name: VersionName): boolean {
    const now = this.#clock.now();
    const cached = this.#cache.get(versionKey(name));
    if (cached !== undefined) return !isExpired(cached.expiresAt, now);
    const record = this.#store.get("version", versionKey(name));
    if (record === undefined) return false;
    const { isDestroyed, expiresAt } = StoredVersion.decode(record.body);
    return !isDestroyed && !isExpired(expiresAt, now);
  }

  #open(name: VersionName): Readable {
    const readable = openVersion(this.#store, this.#keyring, name);
    this.#cache.set(versionKey(name), readable);
    return readable;
  }

  #follow({ changes }: Transaction): void {
    for (const change of changes) {
      if (change.space === "secret") this.#cache.forgetLive(change.key);
      // Dropped, destroyed or wrapped anew: the key that was kept here goes.
      if (change.space === "version") this.#cache.delete(change.key);
    }
  }
}

/** What opens the value of a version that `store` has. @throws GatehouseError `vault.damaged` when its record does not open. */
export function openVersion(
  store: Pick<VaultStore, "get">,
  { vaultId, keks }: Pick<Keyring, "vaultId" | "keks">,
  { path, version }: VersionName,
): Readable {
  const key = versionKey({ path, version });
  const record = store.get("version", key);
  if (record === undefined) throw recordDamaged();
  const stored = StoredVersion.decode(record.body);
  const { createdAt, contentType, previousHash, wrappedKey, expiresAt } = stored;
  const binding = bindingOf({ vaultId, path, version, createdAt, contentType, previousHash });
  const term = termOf(wrappedKey);
  const kek = keks.find((candidate) => candidate.term === term);
  const dek = kek === undefined ? undefined : unwrapKey(kek, binding, wrappedKey);
  if (dek === undefined) throw recordDamaged();
  const inline = stored.sealedValue.length > 0 ? stored.sealedValue : undefined;
  const sealedValue = inline ?? store.get("value", key)?.body;
  if (sealedValue === undefined) throw recordDamaged();
  const open = valueOpener(dek, binding, copyOf(sealedValue));
  if (open === undefined) throw recordDamaged();
  return { open, sizeBytes: sealedValue.length, createdAt, contentType, expiresAt };
}
