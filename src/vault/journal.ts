import { invariant, type Random } from "../core/index.ts";
import { encodeGroup, encodeSegmentHeader, positionAfter } from "./journal-format.ts";
import { segmentPath } from "./layout.ts";
import type { JournalPosition, StorageKeys } from "./storage-keys.ts";
import type { Transaction } from "./transaction.ts";
import type { AppendHandle, VaultFiles } from "./vault-files.ts";

/** A group that could not be made durable. */
export class JournalFailure extends Error {
  override readonly name = "JournalFailure";
  /** `absent`: it is certain that nothing of the group is on disk. `unknown`: it may or may not come back. */
  readonly outcome: "absent" | "unknown";

  constructor(outcome: "absent" | "unknown", cause: unknown) {
    super(`journal: group ${outcome}`, { cause });
    this.outcome = outcome;
  }
}

export interface JournalContext {
  readonly files: VaultFiles;
  readonly dir: string;
  readonly keys: StorageKeys;
  readonly random: Random;
}

/** The growing end of the journal. One call at a time. */
export class Journal implements AsyncDisposable {
  readonly #context: JournalContext;
  #file: AppendHandle;
  #number: number;
  #position: JournalPosition;

  private constructor(
    context: JournalContext,
    at: { readonly file: AppendHandle; readonly number: number; readonly position: JournalPosition },
  ) {
    this.#context = context;
    this.#file = at.file;
    this.#number = at.number;
    this.#position = at.position;
  }

  /** Opens segment `number` for more; cuts it to `sizeBytes` first, durably, if it is longer. */
  static async open(
    context: JournalContext,
    at: { readonly number: number; readonly position: JournalPosition; readonly sizeBytes: number },
  ): Promise<Journal> {
    const file = await context.files.openAppend(segmentPath(context.dir, at.number));
    try {
      if (file.size > at.sizeBytes) {
        await file.truncate(at.sizeBytes);
        await file.sync();
      }
      return new Journal(context, { file, number: at.number, position: at.position });
    } catch (failure) {
      await file[Symbol.asyncDispose]();
      throw failure;
    }
  }

  get number(): number {
    return this.#number;
  }

  get position(): JournalPosition {
    return this.#position;
  }

  /** Of the segment being written. */
  get sizeBytes(): number {
    return this.#file.size;
  }

  /**
   * Makes the transactions durable, as one group in one write.
   * @throws JournalFailure
   */
  async append(transactions: readonly Transaction[]): Promise<void> {
    const offset = this.#file.size;
    const place = { number: this.#number, offset, chain: this.#position.chain };
    const group = encodeGroup(this.#context.keys, place, transactions, this.#context.random);
    const position = positionAfter(this.#position, transactions, group.chain);
    invariant(position !== undefined, "sequences rise");
    try {
      await this.#file.append(group.bytes);
    } catch (cause) {
      throw new JournalFailure((await this.#cutBack(offset)) ? "absent" : "unknown", cause);
    }
    try {
      await this.#file.sync();
    } catch (cause) {
      // The system may have dropped the pages and call them clean: no later sync proves anything about them.
      await this.#cutBack(offset);
      throw new JournalFailure("unknown", cause);
    }
    this.#position = position;
  }

  /** Begins the next segment; the one before it is then complete. */
  async rotate(): Promise<void> {
    const { files, dir, keys } = this.#context;
    const number = this.#number + 1;
    const path = segmentPath(dir, number);
    await files.create(path, encodeSegmentHeader(keys, number, this.#position));
    const file = await files.openAppend(path);
    const finished = this.#file;
    this.#file = file;
    this.#number = number;
    await finished[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
  }

  async #cutBack(sizeBytes: number): Promise<boolean> {
    try {
      await this.#file.truncate(sizeBytes);
      await this.#file.sync();
      return true;
    } catch {
      return false;
    }
  }
}
