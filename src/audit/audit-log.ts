import type { KeyObject } from "node:crypto";
import { type Clock, GatehouseError, type Logger, type Random, silentLogger } from "../core/index.ts";
import { ensurePrivateDir, removeLeftovers } from "../files/index.ts";
import {
  type AuditEvent,
  type AuditFields,
  checkEventSize,
  decodeAuditEvent,
  encodeAuditEvent,
} from "./event.ts";
import { EventCounts } from "./event-counts.ts";
import { readLinks, type Verification, verifyUpTo } from "./log-reader.ts";
import type { AuditHead } from "./record.ts";
import { SegmentStore } from "./segment-store.ts";
import type { AuditLink } from "./segment-walk.ts";
import { unavailable, WriteQueue } from "./write-queue.ts";

export interface AuditLogOptions {
  /** Made, 0700, when missing. One process at a time: the home's lock sees to it. */
  readonly dir: string;
  /** 32 bytes; records are sealed under keys derived from it. */
  readonly key: KeyObject;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger?: Logger;
}

/** One record as a reader gets it, checked. */
export interface AuditEntry {
  readonly sequence: number;
  /** 32 bytes: by which the next record names this one. */
  readonly hash: Uint8Array;
  readonly previousHash: Uint8Array;
  /** 0 when the event came with no change of the vault. */
  readonly journalSequence: number;
  readonly event: AuditEvent;
}

const EVENT_ID_BYTES = 16;
/** How often what is only counted gets its line. */
const SUMMARY_MS = 60_000;
/** Entries that `tail` gathers in memory. */
const TAIL_MAX = 10_000;

/**
 * The append-only, sealed, hash-chained log of what was asked for and what came of it. Fits the vault's `AuditSink`.
 *
 * Whoever gets a failure from `append` must not go on: what cannot be recorded does not happen.
 */
export class AuditLog implements AsyncDisposable {
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #store: SegmentStore;
  readonly #queue: WriteQueue;
  readonly #counts = new EventCounts();
  readonly #listeners = new Set<(links: readonly AuditLink[]) => void>();
  #summaryTimer: Disposable | undefined;
  #journalSequenceQueued: number;

  private constructor({ dir, clock, random, logger = silentLogger }: AuditLogOptions, store: SegmentStore) {
    this.#dir = dir;
    this.#clock = clock;
    this.#random = random;
    this.#logger = logger;
    this.#store = store;
    this.#queue = new WriteQueue(async (records) => {
      const links = await store.write(records);
      for (const listener of this.#listeners) listener(links);
    });
    this.#journalSequenceQueued = store.state.journalSequence;
  }

  /**
   * Opens the log, or starts one in an empty directory. Checks the newest file; `verify` checks them all. A group
   * that a crash cut short is cut off; nobody was told that it was written.
   *
   * @throws GatehouseError `audit.damaged` naming file and offset, also when the key is another one;
   * `home.bad-permissions`, `file.io`
   */
  static async open(options: AuditLogOptions): Promise<AuditLog> {
    const { dir, clock, key, random, logger = silentLogger } = options;
    await ensurePrivateDir(dir);
    await removeLeftovers(dir, clock.now());
    return new AuditLog(options, await SegmentStore.open({ dir, key, random, logger }));
  }

  /** The newest record that is written. */
  get head(): AuditHead {
    return this.#store.state.head;
  }

  /** The newest journal sequence whose events are written; 0 when none. */
  get lastJournalSequence(): number {
    return this.#store.state.journalSequence;
  }

  /** Why nothing can be written any more; undefined while all is well. */
  get failure(): GatehouseError | undefined {
    return this.#queue.failure;
  }

  /**
   * An event's bytes, stamped with the time and an id of its own: for `append` it is done, for a vault transaction
   * the bytes ride in its journal record and come back through `committed`.
   *
   * @throws RangeError when the event is over its bounds.
   */
  encodeEvent(fields: AuditFields): Uint8Array {
    return encodeAuditEvent(fields, this.#clock.now(), this.#random.bytes(EVENT_ID_BYTES));
  }

  /**
   * Settles once the event is in the file (not yet synced).
   *
   * @throws GatehouseError `audit.unavailable` for good, until the log is opened anew; `rpc.overloaded` when too
   * much waits to be written. RangeError when the event is over its bounds.
   */
  append(fields: AuditFields): Promise<void> {
    if (this.#queue.isFull && this.#queue.failure === undefined) return Promise.reject(overloaded());
    return this.#queue.add([{ event: this.encodeEvent(fields), journalSequence: 0 }]);
  }

  /**
   * Appends the events of one committed transaction, all or none; sequences come in ascending order. One that is
   * in already (handed over again after a crash) is passed over. Takes the bytes.
   *
   * @throws GatehouseError `audit.unavailable`. TypeError or RangeError for bytes that are no event.
   */
  committed(sequence: number, events: readonly Uint8Array[]): Promise<void> {
    if (!Number.isSafeInteger(sequence) || sequence < 1) {
      throw new RangeError(`committed: not a journal sequence: ${sequence}`);
    }
    if (sequence <= this.#journalSequenceQueued || events.length === 0) return this.#queue.settled();
    for (const event of events) {
      checkEventSize(event);
      decodeAuditEvent(event);
    }
    const written = this.#queue.add(events.map((event) => ({ event, journalSequence: sequence })));
    this.#journalSequenceQueued = sequence;
    return written;
  }

  /** Counts what is too frequent to be listed; a summary event follows within a minute, and at close. */
  count(action: string): void {
    this.#counts.count(action);
    this.#summaryTimer ??= this.#clock.setTimer(SUMMARY_MS, () => this.#summarize());
  }

  /** Settles once all that was appended so far is on disk. @throws GatehouseError `audit.unavailable` */
  async sync(): Promise<void> {
    await this.#queue.settled();
    try {
      await this.#store.sync();
    } catch (cause) {
      this.#queue.fail(unavailable(cause));
      throw this.#queue.failure ?? unavailable(cause);
    }
  }

  /**
   * The records after `after`, oldest first, up to the newest one when reading begins.
   *
   * @throws GatehouseError `audit.damaged` at the first record that does not verify.
   */
  async *records({ after = 0 }: { readonly after?: number } = {}): AsyncGenerator<AuditEntry> {
    if (!Number.isSafeInteger(after) || after < 0) throw new RangeError(`records: not a sequence: ${after}`);
    const place = { dir: this.#dir, keys: this.#store.keys };
    for await (const link of readLinks(place, after, this.head)) yield entryOf(link);
  }

  /** The newest `count` records, oldest first; at most 10 000. @throws as `records` */
  async tail(count: number): Promise<readonly AuditEntry[]> {
    if (!Number.isSafeInteger(count) || count < 0 || count > TAIL_MAX) {
      throw new RangeError(`tail: ${count} is not within 0 and ${TAIL_MAX}`);
    }
    const entries: AuditEntry[] = [];
    for await (const entry of this.records({ after: Math.max(0, this.head.sequence - count) })) {
      entries.push(entry);
    }
    return entries;
  }

  /** `listener` gets what is written from now on, in order, right after it is in the file; it does not throw. */
  onWritten(listener: (entries: readonly AuditEntry[]) => void): Disposable {
    const told = (links: readonly AuditLink[]): void => listener(links.map(entryOf));
    this.#listeners.add(told);
    return { [Symbol.dispose]: () => void this.#listeners.delete(told) };
  }

  /** Checks every file and record from the first to the newest one at the time of the call. */
  async verify(): Promise<Verification> {
    return await verifyUpTo({ dir: this.#dir, keys: this.#store.keys }, this.head);
  }

  /** Writes what waits and the last summary, syncs, and closes. @throws GatehouseError `audit.unavailable` */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#summarize();
    try {
      if (this.#queue.failure === undefined) await this.sync();
    } finally {
      this.#queue.fail(new GatehouseError("audit.unavailable", "the audit log is closed"));
      await this.#store[Symbol.asyncDispose]();
    }
  }

  #summarize(): void {
    this.#summaryTimer?.[Symbol.dispose]();
    this.#summaryTimer = undefined;
    const detail = this.#counts.take();
    if (detail === undefined) return;
    const summary = { action: "audit:summary", resource: "gatehouse", outcome: "done", detail } as const;
    this.append(summary).catch((error: unknown) => {
      const code = error instanceof GatehouseError ? error.code : "unknown";
      this.#logger.error("audit-summary-lost", { code });
    });
  }
}

function entryOf({ record, hash }: AuditLink): AuditEntry {
  const { sequence, previousHash, journalSequence, event } = record;
  return { sequence, hash, previousHash, journalSequence, event: decodeAuditEvent(event) };
}

function overloaded(): GatehouseError {
  return new GatehouseError("rpc.overloaded", "too much waits to be written to the audit log");
}
