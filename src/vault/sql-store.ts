import { setImmediate } from "node:timers/promises";
import { type Clock, GatehouseError, LIMITS, type Logger } from "../core/index.ts";
import type { AuditSink } from "./audit-sink.ts";
import type { CheckpointSchedule, Outcome } from "./checkpoint-schedule.ts";
import { conflict, isNoSpace } from "./failures.ts";
import type { Image } from "./image.ts";
import { type Journal, JournalFailure } from "./journal.ts";
import { KeyedQueue } from "./keyed-queue.ts";
import type { ListRange, Plan, StoredRecord, StoreListener, VaultState, VaultStore } from "./store.ts";
import { type Change, encodeStatements, type Space, type Transaction } from "./transaction.ts";

export interface SqlStoreParts {
  readonly image: Image;
  readonly journal: Journal;
  readonly audit: AuditSink;
  readonly checkpoints: CheckpointSchedule;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Sequences go on above this one. */
  readonly sequence: number;
}

interface Waiting {
  readonly changes: readonly Change[];
  readonly events: readonly Uint8Array[];
  readonly statements: Uint8Array;
  readonly settle: (failure: GatehouseError | undefined) => void;
}

/** How long a full disk is left alone before one mutation is let through to try again. */
const RETRY_MS = 5_000;

/**
 * The engine: records in SQLite in memory, durability by the journal. *Journal first, then apply*: a group of
 * transactions is written and synced, then applied, then handed to the audit log, then answered. The image never
 * runs ahead of the disk, so a failed write has nothing to undo and readers see durable records only.
 */
export class SqlStore implements VaultStore {
  readonly #parts: SqlStoreParts;
  readonly #queue = new KeyedQueue();
  readonly #listeners = new Set<StoreListener>();
  #waiting: Waiting[] = [];
  #inFlight = 0;
  #writing: Promise<void> | undefined;
  /** The audit log's answers so far; never rejects. */
  #handingOver: Promise<void> = Promise.resolve();
  #sequence: number;
  #durable: number;
  #imageBytes: number;
  #state: VaultState = { kind: "serving" };
  #retryAtMs: number | undefined;
  /** Run between two groups, before the next one. */
  #interludes: (() => Promise<void>)[] = [];
  /** A checkpoint that was asked for and has not begun. */
  #demanded: Promise<void> | undefined;
  #isClosing = false;
  #idle: (() => void) | undefined;

  /** Takes the parts: they are closed with it. */
  constructor(parts: SqlStoreParts) {
    this.#parts = parts;
    this.#sequence = parts.sequence;
    this.#durable = parts.journal.position.sequence;
    this.#imageBytes = parts.image.sizeBytes;
  }

  get state(): VaultState {
    return this.#state;
  }

  get sequence(): number {
    return this.#durable;
  }

  get(space: Space, key: string): StoredRecord | undefined {
    return this.#parts.image.get(space, key);
  }

  list(space: Space, range: ListRange): readonly StoredRecord[] {
    return this.#parts.image.list(space, range);
  }

  sizeOf(space: Space, range?: Omit<ListRange, "limit">): number {
    return this.#parts.image.sizeOf(space, range);
  }

  async putIfVersion(space: Space, key: string, body: Uint8Array, ifRevision: number): Promise<number> {
    await this.transact([`${space} ${key}`], () => {
      const revision = this.get(space, key)?.revision ?? 0;
      if (revision !== ifRevision) throw conflict(`the record is at revision ${revision}, not ${ifRevision}`);
      return { changes: [{ kind: "put", space, key, body }], events: [], result: undefined };
    });
    return this.get(space, key)?.revision ?? 0;
  }

  async transact<Result>(keys: readonly string[], plan: () => Plan<Result>): Promise<Result> {
    if (this.#isClosing) throw closing();
    if (this.#inFlight >= LIMITS.vaultPendingMutations) {
      throw new GatehouseError("rpc.overloaded", "too many changes are waiting for the disk");
    }
    this.#inFlight += 1;
    try {
      return await this.#queue.run(keys, async () => {
        this.#checkWritable();
        const { changes, events, result } = plan();
        this.#checkRoom(changes);
        await this.#commit(changes, events);
        return result;
      });
    } finally {
      this.#ended();
    }
  }

  async checkpoint(): Promise<void> {
    if (this.#isClosing) throw closing();
    this.#demanded ??= this.#freshCheckpoint(
      () => Promise.resolve(),
      () => Promise.resolve(),
    );
    await this.#demanded;
  }

  /**
   * A snapshot on disk and something else of the same moment: `mark` runs while no change can happen, every event so
   * far handed to the audit log and synced; `use` hears of the snapshot's number while it is sure to be there.
   * @throws as `checkpoint`, and what `mark` and `use` throw (as `vault.checkpoint-failed`).
   */
  async capture(mark: () => Promise<void>, use: (snapshot: number) => Promise<void>): Promise<void> {
    if (this.#isClosing) throw closing();
    await this.#freshCheckpoint(async () => {
      await this.#handingOver;
      await this.#parts.audit.sync();
      await mark();
    }, use);
  }

  subscribe(listener: StoreListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Waits for what is under way, refuses what comes. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    await this.#writing;
    await this.#parts.checkpoints.settled();
    await this.#handingOver;
    this.#parts.image[Symbol.dispose]();
    await this.#parts.journal[Symbol.asyncDispose]();
  }

  #ended(): void {
    this.#inFlight -= 1;
    if (this.#inFlight === 0) this.#idle?.();
  }

  async #freshCheckpoint(mark: () => Promise<void>, use: (snapshot: number) => Promise<void>): Promise<void> {
    const { checkpoints } = this.#parts;
    this.#inFlight += 1;
    try {
      let begun: { readonly finished: Promise<Outcome> } | undefined;
      while (begun === undefined) {
        await checkpoints.settled();
        await this.#between(async () => {
          // One that began meanwhile may lack what a caller who joined later wants to see covered.
          if (checkpoints.isRunning) return;
          this.#demanded = undefined;
          if (this.#state.kind === "read-only") throw readOnly(this.#state.reason);
          await mark();
          begun = await checkpoints.begin(() => this.#handingOver, use);
        });
      }
      const outcome = await begun.finished;
      if (outcome !== undefined) throw checkpointFailed(outcome.failure);
    } finally {
      this.#ended();
    }
  }

  /** Runs `interlude` while nothing is being written. */
  async #between(interlude: () => Promise<void>): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#interludes.push(() => interlude().then(resolve, reject));
      this.#writing ??= this.#write();
    });
  }

  #checkWritable(): void {
    if (this.#state.kind === "serving") return;
    const now = this.#parts.clock.monotonicMs();
    if (this.#retryAtMs !== undefined && now >= this.#retryAtMs) {
      this.#retryAtMs = now + RETRY_MS;
      return;
    }
    throw readOnly(this.#state.reason);
  }

  /** What is in the journal must fit into memory, too: a vault that has outgrown it could not be opened again. */
  #checkRoom(changes: readonly Change[]): void {
    const isGrowing = changes.some(({ kind, space }) => kind === "put" && space === "version");
    if (!isGrowing || this.#imageBytes <= LIMITS.vaultImageBytes) return;
    throw new GatehouseError("vault.full", "the vault's records have no more room in memory", {
      hint: "destroy what is no longer needed",
    });
  }

  async #commit(changes: readonly Change[], events: readonly Uint8Array[]): Promise<void> {
    // Encoded here: what cannot be written is its caller's mistake, not the whole group's.
    const statements = encodeStatements(changes, events);
    const failure = await new Promise<GatehouseError | undefined>((settle) => {
      this.#waiting.push({ changes, events, statements, settle });
      this.#writing ??= this.#write();
    });
    if (failure !== undefined) throw failure;
  }

  async #write(): Promise<void> {
    // One turn of the loop, so that calls that arrived together share the first write too.
    await setImmediate();
    while (this.#waiting.length > 0 || this.#interludes.length > 0) {
      const interlude = this.#interludes.shift();
      await (interlude === undefined ? this.#writeGroup(this.#takeGroup()) : interlude());
    }
    this.#writing = undefined;
  }

  #takeGroup(): readonly Waiting[] {
    let count = 0;
    let sizeBytes = 0;
    for (const waiting of this.#waiting) {
      if (count > 0 && sizeBytes + waiting.statements.length > LIMITS.vaultGroupBytes) break;
      sizeBytes += waiting.statements.length;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  async #writeGroup(group: readonly Waiting[]): Promise<void> {
    if (this.#state.kind === "read-only" && this.#retryAtMs === undefined) {
      const failure = readOnly(this.#state.reason);
      for (const { settle } of group) settle(failure);
      return;
    }
    const encoded = group.map(({ changes, events, statements }, index) => ({
      ...{ transaction: { sequence: this.#sequence + 1 + index, changes, events }, statements },
    }));
    try {
      await this.#parts.journal.append(encoded);
    } catch (failure) {
      this.#refuse(group, failure);
      return;
    }
    this.#sequence += group.length;
    const transactions = encoded.map(({ transaction }) => transaction);
    try {
      this.#show(transactions);
    } catch (cause) {
      // On disk, but not in memory, which may be full: a restart shows it.
      this.#stop("a stored change could not be taken into memory", cause);
      for (const { settle } of group) settle(outcomeUnknown(cause));
      return;
    }
    this.#handOver(group, transactions);
    await this.#parts.checkpoints.afterGroup(group.length, () => this.#handingOver);
  }

  #show(transactions: readonly Transaction[]): void {
    this.#parts.image.apply(transactions);
    this.#imageBytes = this.#parts.image.sizeBytes;
    this.#durable = this.#sequence;
    this.#recovered();
    for (const transaction of transactions) for (const listener of this.#listeners) listener(transaction);
  }

  /** The next group does not wait for the audit log; its callers do. */
  #handOver(group: readonly Waiting[], transactions: readonly Transaction[]): void {
    const answers = transactions
      .filter(({ events }) => events.length > 0)
      .map(async ({ sequence, events }) => await this.#parts.audit.committed(sequence, events));
    const earlier = this.#handingOver;
    this.#handingOver = Promise.all(answers).then(
      async () => {
        await earlier;
        for (const { settle } of group) settle(undefined);
      },
      (cause: unknown) => {
        this.#stop("the audit log cannot be written", cause);
        // It did happen, and its event is in the journal: the next open hands it over again.
        for (const { settle } of group) settle(outcomeUnknown(cause));
      },
    );
  }

  #refuse(group: readonly Waiting[], failure: unknown): void {
    const cause = failure instanceof JournalFailure ? failure.cause : failure;
    const isAbsent = failure instanceof JournalFailure && failure.outcome === "absent";
    const reason = isNoSpace(cause) ? "no space is left on the disk" : "the disk failed to take a write";
    this.#stop(reason, cause);
    if (isAbsent) this.#retryAtMs = this.#parts.clock.monotonicMs() + RETRY_MS;
    for (const { settle } of group) settle(isAbsent ? readOnly(reason) : outcomeUnknown(cause));
    for (const { settle } of this.#waiting.splice(0)) settle(readOnly(reason));
  }

  #stop(reason: string, cause: unknown): void {
    this.#state = { kind: "read-only", reason };
    this.#retryAtMs = undefined;
    this.#parts.logger.error("vault-read-only", { reason, cause: String(cause) });
  }

  #recovered(): void {
    if (this.#state.kind === "serving" || this.#retryAtMs === undefined) return;
    this.#state = { kind: "serving" };
    this.#retryAtMs = undefined;
    this.#parts.logger.info("vault-writable-again");
  }
}

function closing(): GatehouseError<"rpc.draining"> {
  return new GatehouseError("rpc.draining", "the vault is closing");
}

function checkpointFailed(cause: unknown): GatehouseError<"vault.checkpoint-failed"> {
  return new GatehouseError("vault.checkpoint-failed", "the vault's files could not be written anew", {
    hint: "nothing was lost; see the log for the cause, then try again",
    cause,
  });
}

function readOnly(reason: string): GatehouseError<"vault.read-only"> {
  return new GatehouseError("vault.read-only", `the vault takes no changes: ${reason}`, {
    hint: "nothing was stored; mend the cause, then try again or restart the gatehouse",
  });
}

function outcomeUnknown(cause: unknown): GatehouseError<"rpc.outcome-unknown"> {
  return new GatehouseError("rpc.outcome-unknown", "the change may or may not have been stored", {
    hint: "restart the gatehouse and look",
    cause,
  });
}
