import { type Clock, copyOf, GatehouseError, LIMITS, type Random } from "../core/index.ts";
import { gatehouse } from "../gen/index.ts";
import { damaged } from "./damage.ts";
import { bindingOf, hashOf, type Place, sealEnvelope, termOf, unwrapKey, valueOpener } from "./envelope.ts";
import { conflict } from "./failures.ts";
import type { Keyring } from "./keyring.ts";
import type { Mutation, Mutations } from "./mutations.ts";
import { LAST_KEY, pages } from "./pages.ts";
import { type Readable, ReadCache } from "./read-cache.ts";
import type { FolderPath, SecretPath } from "./secret-path.ts";
import type { VaultStore } from "./store.ts";
import type { Change, Transaction } from "./transaction.ts";

const { StoredSecret, StoredVersion } = gatehouse.v1;

export interface SecretValue {
  readonly version: number;
  /** The caller's own, to wipe. */
  readonly value: Uint8Array;
  /** Unix ms. */
  readonly createdAt: number;
  readonly contentType: string;
}

export interface SecretEntry {
  readonly path: SecretPath;
  readonly version: number;
  readonly createdAt: number;
  readonly sizeBytes: number;
}

export interface SecretVersion {
  readonly version: number;
  readonly createdAt: number;
  readonly sizeBytes: number;
  /** Device id of who wrote it. */
  readonly createdBy: string;
  readonly isRemoved: boolean;
}

export interface PutInput {
  readonly path: SecretPath;
  /** At most `LIMITS.secretValueBytes`; borrowed until the answer. */
  readonly value: Uint8Array;
  /** Only if this is the live version; 0: only if there is none. */
  readonly ifVersion?: number;
  /** At most 128 bytes of printable ASCII; `application/octet-stream` when left out or empty. */
  readonly contentType?: string;
  readonly createdBy: string;
}

export interface ListInput {
  /** Everything under this folder; the root when left out. */
  readonly prefix?: FolderPath;
  /** Paths after this one. */
  readonly after?: SecretPath;
  readonly limit: number;
}

export interface SecretsLimits {
  readonly vaultBytes: number;
  readonly secretVersionsKept: number;
}

interface Head {
  readonly latestVersion: number;
  readonly removedThrough: number;
  readonly oldestVersion: number;
  readonly createdAt: number;
  readonly sizeBytes: number;
  readonly latestHash: Uint8Array;
}

/** Larger values lie in a record of their own, so that a history does not read them. */
const INLINE_BYTES = 16_384;
/** Records that one `list` looks at, removed ones included: whoever fills a folder with those must not stop the loop. */
const SEEN_MAX = 2_000;
const DEFAULT_CONTENT_TYPE = "application/octet-stream";
const CONTENT_TYPE = /^[\x20-\x7e]*$/;
const NO_HEAD: Head = {
  ...{ latestVersion: 0, removedThrough: 0, oldestVersion: 1, createdAt: 0, sizeBytes: 0 },
  latestHash: new Uint8Array(),
};

/** Secrets by path, each with its versions, each version sealed under a key of its own. */
export class Secrets {
  readonly #mutations: Mutations;
  readonly #store: VaultStore;
  readonly #keyring: Keyring;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #limits: SecretsLimits;
  readonly #cache = new ReadCache();
  /** Sealed bytes on disk and on their way there. */
  #usedBytes: number;

  constructor(parts: {
    readonly mutations: Mutations;
    readonly keyring: Keyring;
    readonly clock: Clock;
    readonly random: Random;
    readonly limits: SecretsLimits;
  }) {
    this.#mutations = parts.mutations;
    this.#store = parts.mutations.store;
    this.#keyring = parts.keyring;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#limits = parts.limits;
    this.#usedBytes = this.#store.sizeOf("version") + this.#store.sizeOf("value");
    this.#store.subscribe((transaction) => this.#follow(transaction));
  }

  /**
   * Stores a new version; on disk when it settles. Versions rise by one from 1, removals notwithstanding.
   * @throws GatehouseError `vault.too-large`, `vault.full`, `vault.version-conflict`, and as `VaultStore.transact`.
   * @throws AlreadyAnswered, GatehouseError `rpc.request-mismatch` as `Mutations.run`.
   */
  async put(
    input: PutInput,
    mutation: Mutation<{ readonly version: number }>,
  ): Promise<{ readonly version: number }> {
    checkPut(input);
    let reservedBytes = 0;
    let freedBytes = 0;
    try {
      return await this.#mutations.run([lockOf(input.path)], mutation, () => {
        const head = this.#headOf(input.path);
        checkVersion(head, input.ifVersion);
        const planned = this.#planPut(input, head);
        reservedBytes = this.#reserve(planned.changes);
        freedBytes = this.#bytesDropped(planned.changes);
        return planned;
      });
    } catch (failure) {
      freedBytes = 0;
      throw failure;
    } finally {
      // What was stored has been counted by `#follow`.
      this.#usedBytes -= reservedBytes + freedBytes;
    }
  }

  /**
   * The newest live version, or one of those kept.
   * @throws GatehouseError `vault.not-found` when the path has no live version, `vault.version-not-found`,
   * `vault.damaged` when the record does not open.
   */
  async get(path: SecretPath, version?: number): Promise<SecretValue> {
    const wanted = version ?? this.#liveVersion(path);
    if (version !== undefined) this.#checkReadable(path, version);
    const readable = this.#cache.get(versionKey(path, wanted)) ?? this.#open(path, wanted);
    const value = readable.open();
    if (value === undefined) throw recordDamaged();
    const { createdAt, contentType } = readable;
    return { version: wanted, value, createdAt, contentType };
  }

  /**
   * Live secrets in order of path, at most `limit`, and fewer where many were removed; `next` is what to give as
   * `after` for more.
   */
  async list(input: ListInput): Promise<{
    readonly secrets: readonly SecretEntry[];
    readonly next: SecretPath | undefined;
  }> {
    const folder = input.prefix === undefined || input.prefix === "" ? "" : `${input.prefix}/`;
    const after = input.after !== undefined && input.after > folder ? input.after : folder;
    const secrets: SecretEntry[] = [];
    let seen = 0;
    let last: SecretPath | undefined;
    for (const { key, body } of pages(this.#store, "secret", { after, before: `${folder}${LAST_KEY}` })) {
      seen += 1;
      if (seen > SEEN_MAX) return { secrets, next: last };
      last = key as SecretPath;
      const { latestVersion, removedThrough, createdAt, sizeBytes } = StoredSecret.decode(body);
      if (latestVersion <= removedThrough) continue;
      if (secrets.length >= input.limit) return { secrets, next: secrets.at(-1)?.path };
      secrets.push({ path: key as SecretPath, version: latestVersion, createdAt, sizeBytes });
    }
    return { secrets, next: undefined };
  }

  /** Every version kept, newest first. @throws GatehouseError `vault.not-found` when there never was one. */
  async history(path: SecretPath): Promise<readonly SecretVersion[]> {
    const head = this.#headOf(path);
    if (head === NO_HEAD) throw notFound();
    const range = { after: `${path}#`, before: `${path}#${LAST_KEY}` };
    return [...pages(this.#store, "version", range)]
      .map(({ body }) => StoredVersion.decode(body))
      .map(({ version, createdAt, sizeBytes, createdBy }) => ({
        ...{ version, createdAt, sizeBytes, createdBy, isRemoved: version <= head.removedThrough },
      }))
      .reverse();
  }

  /**
   * Hides the path and all its versions; they stay. Answers the version that was live.
   * @throws GatehouseError `vault.not-found`, `vault.version-conflict`, and as `put`.
   */
  async remove(
    input: { readonly path: SecretPath; readonly ifVersion?: number },
    mutation: Mutation<{ readonly version: number }>,
  ): Promise<{ readonly version: number }> {
    return await this.#mutations.run([lockOf(input.path)], mutation, () => {
      const head = this.#headOf(input.path);
      if (head.latestVersion <= head.removedThrough) throw notFound();
      checkVersion(head, input.ifVersion);
      const removed = { ...head, removedThrough: head.latestVersion };
      return { changes: [headChange(input.path, removed)], result: { version: head.latestVersion } };
    });
  }

  /**
   * Takes a removal back. Answers the version that is live again.
   * @throws GatehouseError `vault.not-found`, `vault.not-removed`, and as `put`.
   */
  async undelete(
    input: { readonly path: SecretPath },
    mutation: Mutation<{ readonly version: number }>,
  ): Promise<{ readonly version: number }> {
    return await this.#mutations.run([lockOf(input.path)], mutation, () => {
      const head = this.#headOf(input.path);
      if (head === NO_HEAD) throw notFound();
      if (head.latestVersion > head.removedThrough) {
        throw new GatehouseError("vault.not-removed", "the secret is not removed", {
          hint: "it can be read as it is",
        });
      }
      return {
        changes: [headChange(input.path, { ...head, removedThrough: 0 })],
        result: { version: head.latestVersion },
      };
    });
  }

  /**
   * Deletes versions for good, all of them when none is named; their numbers are not given out again.
   * @throws GatehouseError `vault.not-found`, `vault.version-not-found`, `vault.version-conflict`, and as `put`.
   */
  async destroy(
    input: { readonly path: SecretPath; readonly version?: number; readonly ifVersion?: number },
    mutation: Mutation<{ readonly versions: readonly number[] }>,
  ): Promise<{ readonly versions: readonly number[] }> {
    return await this.#mutations.run([lockOf(input.path)], mutation, () => {
      const { path, version, ifVersion } = input;
      const head = this.#headOf(path);
      if (head === NO_HEAD) throw notFound();
      if (ifVersion !== undefined && ifVersion !== head.latestVersion) {
        throw conflict(`the path is at version ${head.latestVersion}, not ${ifVersion}`);
      }
      const [from, to] = version === undefined ? [head.oldestVersion, head.latestVersion] : [version, version];
      const changes = droppedChanges(path, from, to + 1);
      const versions = Array.from({ length: to - from + 1 }, (_, index) => from + index);
      return { changes, result: { versions } };
    });
  }

  #headOf(path: SecretPath): Head {
    const record = this.#store.get("secret", path);
    return record === undefined ? NO_HEAD : StoredSecret.decode(record.body);
  }

  #liveVersion(path: SecretPath): number {
    const cached = this.#cache.latest(path);
    if (cached !== undefined) return cached;
    const { latestVersion, removedThrough } = this.#headOf(path);
    if (latestVersion <= removedThrough) throw notFound();
    this.#cache.setLatest(path, latestVersion);
    return latestVersion;
  }

  #checkReadable(path: SecretPath, version: number): void {
    const { latestVersion, removedThrough, oldestVersion } = this.#headOf(path);
    if (latestVersion <= removedThrough) throw notFound();
    if (version <= removedThrough || version < oldestVersion || version > latestVersion) {
      throw new GatehouseError("vault.version-not-found", `there is no version ${version} to read`, {
        hint: `versions ${Math.max(removedThrough + 1, oldestVersion)} to ${latestVersion} are kept`,
      });
    }
  }

  #open(path: SecretPath, version: number): Readable {
    const key = versionKey(path, version);
    const record = this.#store.get("version", key);
    if (record === undefined) throw recordDamaged();
    const stored = StoredVersion.decode(record.body);
    const { createdAt, contentType, previousHash, wrappedKey } = stored;
    const binding = this.#bindingOf({ path, version, createdAt, contentType, previousHash });
    const term = termOf(wrappedKey);
    const kek = this.#keyring.keks.find((candidate) => candidate.term === term);
    const dek = kek === undefined ? undefined : unwrapKey(kek, binding, wrappedKey);
    if (dek === undefined) throw recordDamaged();
    const inline = stored.sealedValue.length > 0 ? stored.sealedValue : undefined;
    const sealedValue = inline ?? this.#store.get("value", key)?.body;
    if (sealedValue === undefined) throw recordDamaged();
    const open = valueOpener(dek, binding, copyOf(sealedValue));
    if (open === undefined) throw recordDamaged();
    const readable = { open, sizeBytes: sealedValue.length, createdAt, contentType };
    this.#cache.set(key, readable);
    return readable;
  }

  #bindingOf(place: Omit<Place, "vaultId">): Uint8Array {
    return bindingOf({ ...place, vaultId: this.#keyring.vaultId });
  }

  #planPut(
    { path, value, createdBy, ...input }: PutInput,
    head: Head,
  ): { readonly changes: readonly Change[]; readonly result: { readonly version: number } } {
    const version = head.latestVersion + 1;
    const createdAt = this.#clock.now();
    const contentType =
      input.contentType === "" ? DEFAULT_CONTENT_TYPE : (input.contentType ?? DEFAULT_CONTENT_TYPE);
    const place = { path, version, createdAt, contentType, previousHash: head.latestHash };
    const binding = this.#bindingOf(place);
    const sealed = sealEnvelope({ binding, value, kek: this.#keyring.kek, random: this.#random });
    const oldestVersion = Math.max(head.oldestVersion, version - this.#limits.secretVersionsKept + 1);
    const next: Head = {
      ...{ latestVersion: version, removedThrough: head.removedThrough, oldestVersion, createdAt },
      ...{ sizeBytes: value.length, latestHash: hashOf(sealed.sealedValue) },
    };
    const stored = { ...place, createdBy, sizeBytes: value.length, wrappedKey: sealed.wrappedKey };
    return {
      changes: [
        headChange(path, next),
        ...versionChanges(path, stored, sealed.sealedValue),
        ...droppedChanges(path, head.oldestVersion, oldestVersion),
      ],
      result: { version },
    };
  }

  /** Counts bytes that are on their way, so that puts side by side cannot overfill together. */
  #reserve(changes: readonly Change[]): number {
    const bytes = sealedBytes(changes);
    if (this.#usedBytes + bytes > this.#limits.vaultBytes) {
      throw new GatehouseError("vault.full", `the vault holds at most ${this.#limits.vaultBytes} bytes`, {
        hint: "remove what is no longer needed, or raise the vault's limit",
      });
    }
    this.#usedBytes += bytes;
    return bytes;
  }

  #bytesDropped(changes: readonly Change[]): number {
    return changes.reduce((sum, change) => {
      if (change.kind === "put") return sum;
      return sum + (this.#store.get(change.space, change.key)?.body.length ?? 0);
    }, 0);
  }

  #follow({ changes }: Transaction): void {
    this.#usedBytes += sealedBytes(changes);
    for (const change of changes) {
      if (change.space === "secret") this.#cache.forgetLatest(change.key);
      if (change.kind === "delete" && change.space === "version") this.#cache.delete(change.key);
    }
  }
}

function checkPut({ value, contentType, createdBy }: PutInput): void {
  if (value.length > LIMITS.secretValueBytes) {
    throw new GatehouseError("vault.too-large", `a value is at most ${LIMITS.secretValueBytes} bytes`, {
      hint: "keep large files elsewhere, encrypted under a key kept here",
    });
  }
  if (contentType !== undefined && !isContentType(contentType)) {
    throw new GatehouseError(
      "usage.bad-argument",
      "a content type is at most 128 printable ASCII characters",
    );
  }
  if (createdBy.length > 256) throw new RangeError("put: createdBy is longer than 256 characters");
}

function isContentType(text: string): boolean {
  return text.length <= LIMITS.secretContentTypeBytes && CONTENT_TYPE.test(text);
}

function checkVersion({ latestVersion, removedThrough }: Head, ifVersion: number | undefined): void {
  const live = latestVersion > removedThrough ? latestVersion : 0;
  if (ifVersion === undefined || ifVersion === live) return;
  throw conflict(
    live === 0 ? "the path has no live version" : `the path is at version ${live}, not ${ifVersion}`,
  );
}

function headChange(path: SecretPath, head: Head): Change {
  return { kind: "put", space: "secret", key: path, body: StoredSecret.encode(head).finish() };
}

function versionChanges(
  path: SecretPath,
  stored: Parameters<typeof StoredVersion.encode>[0] & { readonly version: number },
  sealedValue: Uint8Array,
): readonly Change[] {
  const key = versionKey(path, stored.version);
  const isInline = sealedValue.length <= INLINE_BYTES;
  const body = StoredVersion.encode(isInline ? { ...stored, sealedValue } : stored).finish();
  const version: Change = { kind: "put", space: "version", key, body };
  return isInline ? [version] : [version, { kind: "put", space: "value", key, body: sealedValue }];
}

function droppedChanges(path: SecretPath, from: number, to: number): readonly Change[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, index) => versionKey(path, from + index)).flatMap(
    (key): readonly Change[] => [
      { kind: "delete", space: "version", key },
      { kind: "delete", space: "value", key },
    ],
  );
}

function sealedBytes(changes: readonly Change[]): number {
  return changes.reduce((sum, change) => {
    const isSealed = change.kind === "put" && (change.space === "version" || change.space === "value");
    return isSealed ? sum + change.body.length : sum;
  }, 0);
}

function versionKey(path: SecretPath, version: number): string {
  return `${path}#${String(version).padStart(16, "0")}`;
}

function lockOf(path: SecretPath): string {
  return `secret ${path}`;
}

function notFound(): GatehouseError<"vault.not-found"> {
  return new GatehouseError("vault.not-found", "there is no such secret");
}

function recordDamaged(): GatehouseError<"vault.damaged"> {
  return damaged("a secret's record", 0, "it does not open");
}
