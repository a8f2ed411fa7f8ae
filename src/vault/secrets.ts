import { type Clock, GatehouseError, LIMITS, type Random } from "../core/index.ts";
import { bindingOf, hashOf, sealEnvelope } from "./envelope.ts";
import { conflict } from "./failures.ts";
import type { Keyring } from "./keyring.ts";
import type { Mutation, Mutations } from "./mutations.ts";
import { AlreadyAnswered } from "./replies.ts";
import { planDestroy, planSweep } from "./secret-destruction.ts";
import { SecretErasure } from "./secret-erasure.ts";
import { checkLabels, checkPut, contentTypeOf } from "./secret-input.ts";
import { listSecrets, type SecretPage } from "./secret-listing.ts";
import type { SecretPath } from "./secret-path.ts";
import { SecretReader } from "./secret-reader.ts";
import {
  droppedChanges,
  expiredBy,
  type Head,
  headChange,
  headOf,
  isLatestKept,
  isRemoved,
  keptVersions,
  liveVersion,
  lockOf,
  notFound,
  versionChanges,
  versionsOf,
} from "./secret-records.ts";
import type {
  DestroyInput,
  ListInput,
  PutInput,
  SecretsLimits,
  SecretValue,
  SecretVersion,
  VersionName,
} from "./secret-types.ts";
import { SecretUsage } from "./secret-usage.ts";
import type { VaultStore } from "./store.ts";
import type { Change } from "./transaction.ts";

interface Planned<Result> {
  readonly changes: readonly Change[];
  readonly result: Result;
}

/**
 * Secrets by path, each with its versions, each version sealed under a key of its own. A path's newest version is its
 * live one, or none is: when the newest was removed, destroyed or has expired, no older one takes its place, since
 * that would hand out a superseded credential unasked; older versions that are kept can be read by their number.
 */
export class Secrets {
  readonly #mutations: Mutations;
  readonly #store: VaultStore;
  readonly #keyring: Keyring;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #limits: SecretsLimits;
  readonly #reader: SecretReader;
  readonly #usage: SecretUsage;
  readonly #erasure: SecretErasure;

  constructor(parts: {
    readonly mutations: Mutations;
    readonly keyring: Keyring;
    readonly clock: Clock;
    readonly random: Random;
    readonly limits: SecretsLimits;
  }) {
    const { mutations, keyring, clock, random, limits } = parts;
    this.#mutations = mutations;
    this.#store = mutations.store;
    this.#keyring = keyring;
    this.#clock = clock;
    this.#random = random;
    this.#limits = limits;
    this.#reader = new SecretReader({ store: this.#store, keyring, clock });
    this.#usage = new SecretUsage(this.#store, limits.vaultBytes);
    this.#erasure = new SecretErasure(this.#store);
  }

  /** Bytes of all records of secrets: what `SecretsLimits.vaultBytes` bounds. */
  get usedBytes(): number {
    return this.#usage.usedBytes;
  }

  /**
   * Stores a new version; on disk when it settles. Versions rise by one from 1, whatever was removed or destroyed.
   * @throws GatehouseError `vault.too-large`, `usage.bad-argument`, `vault.full`, `vault.version-conflict`, and as
   * `VaultStore.transact`.
   * @throws AlreadyAnswered, GatehouseError `rpc.request-mismatch` as `Mutations.run`.
   */
  async put(
    input: PutInput,
    mutation: Mutation<{ readonly version: number }>,
  ): Promise<{ readonly version: number }> {
    checkPut(input);
    return await this.#run([lockOf(input.path)], mutation, "limited", () => {
      const head = headOf(this.#store, input.path);
      this.#checkVersion(head, input.ifVersion);
      const planned = this.#planPut(input, head);
      if (input.quota !== undefined) this.#usage.checkQuota(input.quota, planned.changes);
      return planned;
    });
  }

  /**
   * The newest version, or one of those kept.
   * @throws GatehouseError `vault.not-found` when the path has no live version (with `version`: when it was removed or
   * never was), `vault.version-not-found`, `vault.damaged` when the record does not open.
   */
  async get(path: SecretPath, version?: number): Promise<SecretValue> {
    return this.#reader.read(path, version);
  }

  /**
   * Secrets in order of path, at most `limit`, and fewer where many are hidden; `next` is what to give as `after` for
   * more. @throws GatehouseError `usage.bad-argument` on labels that no path could have.
   */
  async list(input: ListInput): Promise<SecretPage> {
    if (input.labels !== undefined) checkLabels(input.labels);
    return listSecrets(this.#store, input, this.#clock.now());
  }

  /** Every version kept, newest first. @throws GatehouseError `vault.not-found` when there never was one. */
  async history(path: SecretPath): Promise<readonly SecretVersion[]> {
    const head = headOf(this.#store, path);
    if (head.latestVersion === 0) throw notFound();
    return [...versionsOf(this.#store, path)]
      .map((facts) => ({ ...facts, isRemoved: facts.version <= head.removedThrough }))
      .reverse();
  }

  /**
   * Hides the path and all its versions; they stay. Answers the newest that it hid.
   * @throws GatehouseError `vault.not-found` when none can be read, `vault.version-conflict`, and as `put`.
   */
  async remove(
    input: { readonly path: SecretPath; readonly ifVersion?: number },
    mutation: Mutation<{ readonly version: number }>,
  ): Promise<{ readonly version: number }> {
    const { path, ifVersion } = input;
    return await this.#run([lockOf(path)], mutation, "unlimited", () => {
      const head = headOf(this.#store, path);
      const newest = isRemoved(head) ? undefined : this.#newestKept(path, head, head.removedThrough);
      if (newest === undefined) throw notFound();
      this.#checkVersion(head, ifVersion);
      const removed = { removedThrough: head.latestVersion, removedBefore: head.removedThrough };
      return { changes: [headChange(path, { ...head, ...removed })], result: { version: newest } };
    });
  }

  /**
   * Takes back the newest removal, and that one alone. Answers the newest version that can be read again: live when it
   * is the path's newest.
   * @throws GatehouseError `vault.not-found` when there is nothing left to bring back, `vault.not-removed`, and as `put`.
   */
  async undelete(
    input: { readonly path: SecretPath },
    mutation: Mutation<{ readonly version: number }>,
  ): Promise<{ readonly version: number }> {
    const { path } = input;
    return await this.#run([lockOf(path)], mutation, "unlimited", () => {
      const head = headOf(this.#store, path);
      const newest = this.#newestKept(path, head, head.removedBefore);
      if (newest === undefined) throw notFound();
      if (!isRemoved(head)) throw notRemoved();
      const restored = { ...head, removedThrough: head.removedBefore };
      return { changes: [headChange(path, restored)], result: { version: newest } };
    });
  }

  /**
   * Deletes keys and values for good; settles when no file of the vault holds them any more. The numbers stay. Answers
   * the versions of those asked for that are destroyed now; doing it again answers the same.
   * @throws GatehouseError `vault.not-found` when there never was one, `vault.version-not-found`,
   * `vault.version-conflict`, `vault.not-erased` (destroyed, but older files remain until the next checkpoint), and
   * as `put`.
   */
  async destroy(
    input: DestroyInput,
    mutation: Mutation<{ readonly versions: readonly number[] }>,
  ): Promise<{ readonly versions: readonly number[] }> {
    const locks = [lockOf(input.path), this.#erasure.lock];
    try {
      const result = await this.#run(locks, mutation, "unlimited", () =>
        this.#marked(planDestroy(this.#store, input)),
      );
      await this.#erasure.complete();
      return result;
    } catch (outcome) {
      // The answer was made with the change, before its files were known to be gone.
      if (outcome instanceof AlreadyAnswered) await this.#erasure.complete();
      throw outcome;
    }
  }

  /**
   * Destroys up to `limit` (1 to 256) versions that have expired; does nothing, and records nothing, when there are
   * none. Their bytes leave the files with `completeErasure`.
   * @throws GatehouseError as `VaultStore.transact`.
   */
  async sweepExpired(
    limit: number,
    mutation: Mutation<{ readonly swept: readonly VersionName[] }>,
  ): Promise<{ readonly swept: readonly VersionName[]; readonly isMore: boolean }> {
    if (!Number.isInteger(limit) || limit < 1 || limit > LIMITS.secretsSweptAtOnce) {
      throw new RangeError(`sweepExpired: limit ${limit} is not 1 to ${LIMITS.secretsSweptAtOnce}`);
    }
    const found = expiredBy(this.#store, { now: this.#clock.now(), limit });
    if (found.length === 0) return { swept: [], isMore: false };
    const locks = [...new Set(found.map(({ path }) => lockOf(path))), this.#erasure.lock];
    const { swept } = await this.#run(locks, mutation, "unlimited", () => {
      const planned = planSweep(this.#store, found, this.#clock.now());
      return this.#marked({ changes: planned.changes, result: { swept: planned.swept } });
    });
    return { swept, isMore: found.length === limit };
  }

  /**
   * Settles when no file of the vault holds anything that was destroyed before: what a failure or a crash has left of a
   * `destroy`, and what was swept. Costs nothing when that is so already.
   * @throws GatehouseError `vault.not-erased`.
   */
  async completeErasure(): Promise<void> {
    await this.#erasure.complete();
  }

  async #run<Result>(
    locks: readonly string[],
    mutation: Mutation<Result>,
    bound: "limited" | "unlimited",
    plan: () => Planned<Result>,
  ): Promise<Result> {
    return await this.#usage.counted(bound, (tally) =>
      this.#mutations.run(locks, mutation, () => {
        const planned = plan();
        tally(planned.changes);
        return planned;
      }),
    );
  }

  #marked<Result>({ changes, result }: Planned<Result>): Planned<Result> {
    return { changes: changes.length === 0 ? [] : [...changes, this.#erasure.mark], result };
  }

  #newestKept(path: SecretPath, head: Head, above: number): number | undefined {
    const now = this.#clock.now();
    return isLatestKept(head, now)
      ? head.latestVersion
      : keptVersions(this.#store, path, { above, now }).at(-1)?.version;
  }

  #checkVersion(head: Head, ifVersion: number | undefined): void {
    const live = liveVersion(head, this.#clock.now());
    if (ifVersion === undefined || ifVersion === live) return;
    throw conflict(
      live === 0 ? "the path has no live version" : `the path is at version ${live}, not ${ifVersion}`,
    );
  }

  #planPut(input: PutInput, head: Head): Planned<{ readonly version: number }> {
    const { path, value, createdBy, ttlMs } = input;
    const version = head.latestVersion + 1;
    const createdAt = this.#clock.now();
    const expiresAt = ttlMs === undefined ? 0 : createdAt + ttlMs;
    const contentType = contentTypeOf(input);
    const place = { path, version, createdAt, contentType, previousHash: head.latestHash };
    const binding = bindingOf({ ...place, vaultId: this.#keyring.vaultId });
    const sealed = sealEnvelope({ binding, value, kek: this.#keyring.kek, random: this.#random });
    const oldestVersion = Math.max(head.oldestVersion, version - this.#limits.secretVersionsKept + 1);
    const latestHash = hashOf(sealed.sealedValue);
    const sizeBytes = value.length;
    const next: Head = {
      ...{ ...head, latestVersion: version, oldestVersion, labels: input.labels ?? head.labels },
      ...{ createdAt, sizeBytes, latestHash, expiresAt, isLatestDestroyed: false },
    };
    const stored = { ...place, createdBy, sizeBytes, expiresAt, wrappedKey: sealed.wrappedKey };
    return {
      changes: [
        headChange(path, next),
        ...versionChanges(path, stored, sealed.sealedValue),
        ...droppedChanges(this.#store, path, { from: head.oldestVersion, to: oldestVersion }),
      ],
      result: { version },
    };
  }
}

function notRemoved(): GatehouseError<"vault.not-removed"> {
  return new GatehouseError("vault.not-removed", "the secret is not removed", {
    hint: "see what can be read: gatehouse vault history PATH",
  });
}
