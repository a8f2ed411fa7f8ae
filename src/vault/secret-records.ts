/** Heads, versions and their index by expiry, as the store keeps them. */
import { GatehouseError } from "../core/index.ts";
import { gatehouse } from "../gen/index.ts";
import { damaged } from "./damage.ts";
import { LAST_KEY, pages } from "./pages.ts";
import type { SecretPath } from "./secret-path.ts";
import type { Labels, VersionName } from "./secret-types.ts";
import type { VaultStore } from "./store.ts";
import type { Change } from "./transaction.ts";

const { StoredExpiry, StoredSecret, StoredVersion } = gatehouse.v1;

/** What is known of a path without its versions. */
export interface Head {
  readonly latestVersion: number;
  readonly removedThrough: number;
  /** `removedThrough` before the newest removal. */
  readonly removedBefore: number;
  readonly oldestVersion: number;
  readonly labels: Labels;
  /** All of the latest version. */
  readonly createdAt: number;
  readonly sizeBytes: number;
  readonly latestHash: Uint8Array;
  readonly expiresAt: number;
  readonly isLatestDestroyed: boolean;
}

/** A version without its value. */
export interface VersionFacts {
  readonly version: number;
  readonly createdAt: number;
  readonly sizeBytes: number;
  readonly createdBy: string;
  readonly expiresAt: number;
  readonly isDestroyed: boolean;
}

/** Larger values lie in a record of their own, so that a history does not read them. */
const INLINE_BYTES = 16_384;
const DIGITS = 16;
const NO_HEAD: Head = {
  ...{ latestVersion: 0, removedThrough: 0, removedBefore: 0, oldestVersion: 1, labels: {} },
  ...{ createdAt: 0, sizeBytes: 0, latestHash: new Uint8Array(), expiresAt: 0, isLatestDestroyed: false },
};

export function decodeHead(body: Uint8Array): Head {
  const head = StoredSecret.decode(body);
  return {
    ...{ latestVersion: head.latestVersion, removedThrough: head.removedThrough },
    ...{ removedBefore: head.removedBefore, oldestVersion: head.oldestVersion, labels: { ...head.labels } },
    ...{ createdAt: head.createdAt, sizeBytes: head.sizeBytes, latestHash: head.latestHash },
    ...{ expiresAt: head.expiresAt, isLatestDestroyed: head.isLatestDestroyed },
  };
}

/** That of a path nobody ever wrote has `latestVersion` 0. */
export function headOf(store: VaultStore, path: SecretPath): Head {
  const record = store.get("secret", path);
  return record === undefined ? NO_HEAD : decodeHead(record.body);
}

export function headChange(path: SecretPath, head: Head): Change {
  return { kind: "put", space: "secret", key: path, body: StoredSecret.encode(head).finish() };
}

export function isRemoved({ latestVersion, removedThrough }: Head): boolean {
  return latestVersion > 0 && latestVersion <= removedThrough;
}

export function isExpired(expiresAt: number, now: number): boolean {
  return expiresAt !== 0 && expiresAt <= now;
}

/** The latest version is neither destroyed nor expired; it may be hidden by a removal. */
export function isLatestKept(head: Head, now: number): boolean {
  return head.latestVersion > 0 && !head.isLatestDestroyed && !isExpired(head.expiresAt, now);
}

/** The latest version if it can be read, else 0: older ones are never live in its stead. */
export function liveVersion(head: Head, now: number): number {
  return isRemoved(head) || !isLatestKept(head, now) ? 0 : head.latestVersion;
}

/** Every version kept, destroyed ones included, oldest first. */
export function* versionsOf(store: VaultStore, path: SecretPath): Generator<VersionFacts, void, void> {
  for (const { body } of pages(store, "version", { after: `${path}#`, before: `${path}#${LAST_KEY}` })) {
    yield factsOf(body);
  }
}

export function versionOf(store: VaultStore, name: VersionName): VersionFacts | undefined {
  const record = store.get("version", versionKey(name));
  return record === undefined ? undefined : factsOf(record.body);
}

/** Above `above`, those that are neither destroyed nor expired, oldest first. */
export function keptVersions(
  store: VaultStore,
  path: SecretPath,
  { above, now }: { readonly above: number; readonly now: number },
): readonly VersionFacts[] {
  return [...versionsOf(store, path)].filter(
    ({ version, isDestroyed, expiresAt }) => version > above && !isDestroyed && !isExpired(expiresAt, now),
  );
}

export function versionChanges(
  path: SecretPath,
  stored: Parameters<typeof StoredVersion.encode>[0] & {
    readonly version: number;
    readonly expiresAt: number;
  },
  sealedValue: Uint8Array,
): readonly Change[] {
  const { version, expiresAt } = stored;
  const key = versionKey({ path, version });
  const isInline = sealedValue.length <= INLINE_BYTES;
  const body = StoredVersion.encode(isInline ? { ...stored, sealedValue } : stored).finish();
  return [
    { kind: "put", space: "version", key, body },
    ...(isInline ? [] : [{ kind: "put", space: "value", key, body: sealedValue } as const]),
    ...(expiresAt === 0 ? [] : [expiryPut({ path, version, expiresAt })]),
  ];
}

/** The fact of a version stays, without what it takes to open it. */
export function tombstoneChanges(path: SecretPath, facts: VersionFacts): readonly Change[] {
  const key = versionKey({ path, version: facts.version });
  const body = StoredVersion.encode({ ...facts, isDestroyed: true }).finish();
  return [
    { kind: "put", space: "version", key, body },
    { kind: "delete", space: "value", key },
    ...expiryDelete(path, facts),
  ];
}

/** Nothing stays. */
export function droppedChanges(
  store: VaultStore,
  path: SecretPath,
  { from, to }: { readonly from: number; readonly to: number },
): readonly Change[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index).flatMap(
    (version): readonly Change[] => {
      const key = versionKey({ path, version });
      const facts = versionOf(store, { path, version });
      return [
        { kind: "delete", space: "version", key },
        { kind: "delete", space: "value", key },
        ...(facts === undefined ? [] : expiryDelete(path, facts)),
      ];
    },
  );
}

/** Versions that expired by `now`, the earliest first, at most `limit`. */
export function expiredBy(
  store: VaultStore,
  { now, limit }: { readonly now: number; readonly limit: number },
): readonly VersionName[] {
  return store.list("expiry", { after: "", before: digits(now + 1), limit }).map(({ body }) => {
    const { path, version } = StoredExpiry.decode(body);
    return { path: path as SecretPath, version };
  });
}

export function versionKey({ path, version }: VersionName): string {
  return `${path}#${digits(version)}`;
}

export function lockOf(path: SecretPath): string {
  return `secret ${path}`;
}

export function notFound(): GatehouseError<"vault.not-found"> {
  return new GatehouseError("vault.not-found", "there is no such secret");
}

export function recordDamaged(): GatehouseError<"vault.damaged"> {
  return damaged("a secret's record", 0, "it does not open");
}

function factsOf(body: Uint8Array): VersionFacts {
  const { version, createdAt, sizeBytes, createdBy, expiresAt, isDestroyed } = StoredVersion.decode(body);
  return { version, createdAt, sizeBytes, createdBy, expiresAt, isDestroyed };
}

function expiryPut(entry: VersionName & { readonly expiresAt: number }): Change {
  return { kind: "put", space: "expiry", key: expiryKey(entry), body: StoredExpiry.encode(entry).finish() };
}

function expiryDelete(path: SecretPath, { version, expiresAt }: VersionFacts): readonly Change[] {
  if (expiresAt === 0) return [];
  return [{ kind: "delete", space: "expiry", key: expiryKey({ path, version, expiresAt }) }];
}

function expiryKey({ expiresAt, ...name }: VersionName & { readonly expiresAt: number }): string {
  return `${digits(expiresAt)}#${versionKey(name)}`;
}

function digits(number: number): string {
  return String(number).padStart(DIGITS, "0");
}
