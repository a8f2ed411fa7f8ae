/** What rotating keys changes in a few versions at a time. */
import type { Random } from "../core/index.ts";
import { gatehouse } from "../gen/index.ts";
import { bindingOf, hashOf, rewrapKey, sealEnvelope, termOf, unwrapKey, valueOpener } from "./envelope.ts";
import type { Keyring } from "./keyring.ts";
import type { SecretPath } from "./secret-path.ts";
import { headChange, headOf, recordDamaged, versionChanges, versionKey } from "./secret-records.ts";
import type { VaultStore } from "./store.ts";
import type { Change } from "./transaction.ts";

const { StoredVersion } = gatehouse.v1;

export interface RotationParts {
  readonly store: VaultStore;
  readonly keyring: Keyring;
  readonly random: Random;
}

/** The versions of `keys` with their data keys under the newest KEK. @throws GatehouseError `vault.damaged`. */
export function planRewrap(parts: RotationParts, keys: readonly string[]): readonly Change[] {
  const { store, keyring, random } = parts;
  return keys.flatMap((key): readonly Change[] => {
    const record = store.get("version", key);
    const term = record === undefined ? undefined : termOfRecord(record.body);
    const to = keyring.kek;
    if (record === undefined || term === undefined || term === to.term) return [];
    const stored = plain(record.body);
    const from = keyring.keks.find((kek) => kek.term === term);
    const binding = bindingOf({ ...stored, vaultId: keyring.vaultId, path: pathOf(key) });
    const wrappedKey = from && rewrapKey({ wrappedKey: stored.wrappedKey, from, to, binding, random });
    if (wrappedKey === undefined) throw recordDamaged();
    return [
      { kind: "put", space: "version", key, body: StoredVersion.encode({ ...stored, wrappedKey }).finish() },
    ];
  });
}

/**
 * The versions of `keys`, in order, sealed anew under new data keys. Each is bound to the hash of the one before it, which
 * changes with it: so a path's versions follow one another, and its head follows its newest.
 * @throws GatehouseError `vault.damaged`.
 */
export function planReseal(parts: RotationParts, keys: readonly string[]): readonly Change[] {
  const hashes = new Map<string, Uint8Array>();
  return keys.flatMap((key) => reseal(parts, key, hashes));
}

/**
 * Of a version's record; `undefined` for one whose key was destroyed, and no other: a rotation drops the terms that none needs.
 * @throws GatehouseError `vault.damaged`, `vault.unknown-format`
 */
export function termOfRecord(body: Uint8Array): number | undefined {
  const { wrappedKey } = StoredVersion.decode(body);
  if (wrappedKey.length === 0) return undefined;
  const term = termOf(wrappedKey);
  if (term === undefined) throw recordDamaged();
  return term;
}

export function pathOf(key: string): SecretPath {
  return key.slice(0, key.lastIndexOf("#")) as SecretPath;
}

/** `hashes`: of sealed values that this transaction has changed, by key. */
function reseal(parts: RotationParts, key: string, hashes: Map<string, Uint8Array>): readonly Change[] {
  const { store, keyring, random } = parts;
  const record = store.get("version", key);
  if (record === undefined || termOfRecord(record.body) === undefined) return [];
  const path = pathOf(key);
  const stored = plain(record.body);
  const { version } = stored;
  const before = versionKey({ path, version: version - 1 });
  const previousHash = hashes.get(before) ?? hashAt(store, before) ?? stored.previousHash;
  const { vaultId, kek } = keyring;
  const value = openAt(parts, key);
  try {
    const binding = bindingOf({ ...stored, vaultId, path, previousHash });
    const { wrappedKey, sealedValue } = sealEnvelope({ binding, value, kek, random });
    const hash = hashOf(sealedValue);
    hashes.set(key, hash);
    const head = headOf(store, path);
    return [
      ...versionChanges(
        path,
        { ...stored, previousHash, wrappedKey, sealedValue: new Uint8Array() },
        sealedValue,
      ),
      ...(head.latestVersion === version ? [headChange(path, { ...head, latestHash: hash })] : []),
    ];
  } finally {
    value.fill(0);
  }
}

function openAt({ store, keyring }: RotationParts, key: string): Uint8Array {
  const record = store.get("version", key);
  const stored = record === undefined ? undefined : plain(record.body);
  const sealedValue = sealedValueAt(store, key);
  if (stored === undefined || sealedValue === undefined) throw recordDamaged();
  const kek = keyring.keks.find(({ term }) => term === termOf(stored.wrappedKey));
  const binding = bindingOf({ ...stored, vaultId: keyring.vaultId, path: pathOf(key) });
  const dek = kek === undefined ? undefined : unwrapKey(kek, binding, stored.wrappedKey);
  const value = dek === undefined ? undefined : valueOpener(dek, binding, sealedValue)?.();
  if (value === undefined) throw recordDamaged();
  return value;
}

function hashAt(store: VaultStore, key: string): Uint8Array | undefined {
  const sealedValue = sealedValueAt(store, key);
  return sealedValue === undefined ? undefined : hashOf(sealedValue);
}

function sealedValueAt(store: VaultStore, key: string): Uint8Array | undefined {
  const record = store.get("version", key);
  if (record === undefined) return undefined;
  const { sealedValue } = StoredVersion.decode(record.body);
  return sealedValue.length > 0 ? sealedValue : store.get("value", key)?.body;
}

/** Decoded messages have their defaults on the prototype, which a spread loses. */
function plain(body: Uint8Array) {
  const stored = StoredVersion.decode(body);
  const { version, createdAt, createdBy, contentType, sizeBytes, expiresAt, isDestroyed } = stored;
  const { previousHash, wrappedKey, sealedValue } = stored;
  return {
    ...{ version, createdAt, createdBy, contentType, sizeBytes, expiresAt, isDestroyed },
    ...{ previousHash, wrappedKey, sealedValue },
  };
}
