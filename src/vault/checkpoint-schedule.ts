import { LIMITS, type Logger } from "../core/index.ts";
import type { AuditSink } from "./audit-sink.ts";
import type { Checkpointer } from "./checkpoint.ts";
import type { Journal } from "./journal.ts";
import { samePosition } from "./journal-format.ts";
import { segmentPath, snapshotPath } from "./layout.ts";
import type { StorageKeys } from "./storage-keys.ts";
import type { VaultFiles } from "./vault-files.ts";

export interface CheckpointLimits {
  readonly journalBytes: number;
  readonly journalTransactions: number;
}

export interface CheckpointParts {
  readonly files: VaultFiles;
  readonly dir: string;
  readonly keys: StorageKeys;
  readonly journal: Journal;
  readonly audit: AuditSink;
  readonly checkpointer: Checkpointer;
  readonly logger: Logger;
  readonly limits: CheckpointLimits;
}

export const DEFAULT_CHECKPOINT_LIMITS: CheckpointLimits = {
  journalBytes: LIMITS.vaultJournalBytes,
  journalTransactions: LIMITS.vaultJournalTransactions,
};

/** Why a checkpoint failed; `undefined` when it did not. */
export type Outcome = { readonly failure: unknown } | undefined;

interface Making {
  readonly to: number;
  readonly expected: Journal["position"];
  readonly handedOver: () => Promise<void>;
  readonly use: ((snapshot: number) => Promise<void>) | undefined;
}

/** Decides when a snapshot is due, has it made beside the running vault, then drops the journal it replaces. */
export class CheckpointSchedule {
  readonly #parts: CheckpointParts;
  #snapshot: number | undefined;
  /** The oldest segment still there. */
  #oldest: number;
  /** Other snapshots that may be there still, to be removed. */
  #replaced: number[] = [];
  #earlierBytes: number;
  #transactions: number;
  #running: Promise<Outcome> | undefined;
  #failures = 0;

  constructor(
    parts: CheckpointParts,
    at: {
      readonly snapshot: number | undefined;
      readonly replayed: number;
      /** Journal bytes since the snapshot, in segments before the growing one. */
      readonly earlierBytes: number;
    },
  ) {
    this.#parts = parts;
    this.#snapshot = at.snapshot;
    this.#oldest = at.snapshot ?? 1;
    this.#earlierBytes = at.earlierBytes;
    this.#transactions = at.replayed;
  }

  /**
   * Between two groups: begins a checkpoint when one is due. `handedOver` settles when the audit log has heard of
   * everything so far.
   */
  async afterGroup(transactions: number, handedOver: () => Promise<void>): Promise<void> {
    this.#transactions += transactions;
    if (!this.isRunning && this.#isDue()) await this.begin(handedOver);
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /**
   * Starts the next segment and, beside the caller, the snapshot of all before it; `use` is called with that snapshot's
   * number while it is sure to be there. Failures are logged, and what `finished` settles with.
   */
  async begin(
    handedOver: () => Promise<void>,
    use?: (snapshot: number) => Promise<void>,
  ): Promise<{ readonly finished: Promise<Outcome> }> {
    const { journal, logger } = this.#parts;
    try {
      const sizeBytes = journal.sizeBytes;
      await journal.rotate();
      this.#earlierBytes += sizeBytes;
    } catch (failure) {
      this.#failures += 1;
      logger.warn("vault-checkpoint-failed", { step: "rotate", cause: String(failure) });
      return { finished: Promise.resolve({ failure }) };
    }
    const expected = journal.position;
    const [coveredBytes, coveredTransactions, to] = [this.#earlierBytes, this.#transactions, journal.number];
    const finished = this.#make({ to, expected, handedOver, use })
      .then(
        (): Outcome => {
          this.#failures = 0;
          this.#earlierBytes -= coveredBytes;
          this.#transactions -= coveredTransactions;
          return undefined;
        },
        (failure: unknown): Outcome => {
          // The journal holds everything: the vault goes on, opening just takes longer.
          this.#failures += 1;
          logger.warn("vault-checkpoint-failed", { step: "snapshot", cause: String(failure) });
          return { failure };
        },
      )
      .finally(() => {
        this.#running = undefined;
      });
    this.#running = finished;
    return { finished };
  }

  /** When no checkpoint is under way any more. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /** Each failure doubles the journal that is let grow before the next attempt. */
  #isDue(): boolean {
    const { limits, journal } = this.#parts;
    const patience = 2 ** Math.min(this.#failures, 8);
    return (
      this.#earlierBytes + journal.sizeBytes > limits.journalBytes * patience ||
      this.#transactions > limits.journalTransactions * patience
    );
  }

  async #make({ to, expected, handedOver, use }: Making): Promise<void> {
    const { audit, logger } = this.#parts;
    await this.#makeVerified(to, expected);
    try {
      await use?.(to);
      await handedOver();
      await audit.sync();
    } catch (failure) {
      // It is right, and not the one that the next begins from: it goes with those that the next replaces.
      this.#replaced.push(to);
      throw failure;
    }
    await this.#drop(to);
    logger.info("vault-checkpoint", { snapshot: to, sequence: expected.sequence });
  }

  async #makeVerified(to: number, expected: Journal["position"]): Promise<void> {
    const { dir, keys, checkpointer, files } = this.#parts;
    try {
      const made = await checkpointer({ dir, keys, from: this.#snapshot, to });
      if (!samePosition(made, expected))
        throw new Error("the snapshot does not stand where the journal does");
    } catch (failure) {
      // A snapshot that is there but not right would keep the vault from opening; the journal still has it all.
      this.#replaced.push(to);
      await files.remove(snapshotPath(dir, to));
      this.#replaced.pop();
      throw failure;
    }
  }

  /** Rising, so that a crash on the way leaves no gap in the numbers. */
  async #drop(to: number): Promise<void> {
    const { files, dir } = this.#parts;
    if (this.#snapshot !== undefined) this.#replaced.push(this.#snapshot);
    this.#replaced.sort((a, b) => a - b);
    this.#snapshot = to;
    for (let old = this.#replaced[0]; old !== undefined; old = this.#replaced[0]) {
      await files.remove(snapshotPath(dir, old));
      this.#replaced.shift();
    }
    for (; this.#oldest < to; this.#oldest += 1) await files.remove(segmentPath(dir, this.#oldest));
  }
}
