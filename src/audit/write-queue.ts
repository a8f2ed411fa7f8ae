import { GatehouseError, LIMITS } from "../core/index.ts";
import type { PendingRecord } from "./segment-store.ts";

/** Records that go into one group, and who waits for it. */
interface Batch {
  readonly records: PendingRecord[];
  sizeBytes: number;
  readonly written: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (failure: GatehouseError) => void;
}

/** Beside an event, what its record takes up in memory and in the file. */
const RECORD_OVERHEAD_BYTES = 128;

/**
 * Gathers what is added in one turn of the event loop, or while the last group is being written, into one group.
 * After the first failed write everything fails: what the file then holds is known only after opening it again.
 */
export class WriteQueue {
  readonly #write: (records: readonly PendingRecord[]) => Promise<void>;
  readonly #batches: Batch[] = [];
  #last: Promise<void> = Promise.resolve();
  #pendingBytes = 0;
  #isRunning = false;
  #failure: GatehouseError | undefined;

  constructor(write: (records: readonly PendingRecord[]) => Promise<void>) {
    this.#write = write;
  }

  get failure(): GatehouseError | undefined {
    return this.#failure;
  }

  get isFull(): boolean {
    return this.#pendingBytes >= LIMITS.auditPendingBytes;
  }

  /**
   * Puts the records, together and in order, into one group. Settles once that is written.
   *
   * @throws RangeError for more than `LIMITS.auditPendingBytes` at once.
   */
  add(records: readonly PendingRecord[]): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const sizeBytes = records.reduce((sum, { event }) => sum + event.length + RECORD_OVERHEAD_BYTES, 0);
    if (sizeBytes > LIMITS.auditPendingBytes) {
      throw new RangeError(
        `audit: ${sizeBytes} bytes of events at once, at most ${LIMITS.auditPendingBytes}`,
      );
    }
    const batch = this.#batchFor(sizeBytes);
    batch.records.push(...records);
    batch.sizeBytes += sizeBytes;
    this.#pendingBytes += sizeBytes;
    this.#last = batch.written;
    if (!this.#isRunning) {
      this.#isRunning = true;
      setImmediate(() => void this.#run());
    }
    return batch.written;
  }

  /** Settles once everything added so far is written. */
  async settled(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    await this.#last;
  }

  /** Ends the queue: what waits and what comes is refused. The first reason stays. */
  fail(failure: GatehouseError): void {
    this.#failure ??= failure;
    for (const batch of this.#batches.splice(0)) this.#refuse(batch);
  }

  #batchFor(sizeBytes: number): Batch {
    const open = this.#batches.at(-1);
    if (open !== undefined && open.sizeBytes + sizeBytes <= LIMITS.auditGroupBytes) return open;
    const batch = emptyBatch();
    this.#batches.push(batch);
    return batch;
  }

  async #run(): Promise<void> {
    for (let batch = this.#batches.shift(); batch !== undefined; batch = this.#batches.shift()) {
      await this.#settle(batch);
    }
    this.#isRunning = false;
  }

  async #settle(batch: Batch): Promise<void> {
    try {
      await this.#write(batch.records);
      batch.resolve();
    } catch (cause) {
      this.fail(unavailable(cause));
      this.#refuse(batch);
    } finally {
      this.#pendingBytes -= batch.sizeBytes;
    }
  }

  #refuse(batch: Batch): void {
    batch.reject(this.#failure ?? unavailable(undefined));
  }
}

export function unavailable(cause: unknown): GatehouseError {
  return new GatehouseError("audit.unavailable", "the audit log cannot be written", {
    hint: "look at the disk that holds it, then start gatehouse again",
    cause,
  });
}

function emptyBatch(): Batch {
  let resolve: () => void = () => undefined;
  let reject: (failure: GatehouseError) => void = () => undefined;
  const written = new Promise<void>((onWritten, onFailed) => {
    resolve = onWritten;
    reject = onFailed;
  });
  // Shared by all who added to it: one of them not listening must not end the process.
  written.catch(() => undefined);
  return { records: [], sizeBytes: 0, written, resolve, reject };
}
