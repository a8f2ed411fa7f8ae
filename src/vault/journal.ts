import { invariant, type Random } from "../core/index.ts";
import { encodeGroup, encodeSegmentHeader, positionAfter } from "./journal-format.ts";
import { segmentPath } from "./layout.ts";
import type { JournalPosition, StorageKeys } from "./storage-keys.ts";
import type { EncodedTransaction } from "./transaction.ts";
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
  /** Why nothing can be appended any more. */
  #broken: unknown;

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
  async append(transactions: readonly EncodedTransaction[]): Promise<void> {
    if (this.#broken !== undefined) throw new JournalFailure("absent", this.#broken);
    const offset = this.#file.size;
    const place = { number: this.#number, offset, chain: this.#position.chain };
    const group = encodeGroup(this.#context.keys, place, transactions, this.#context.random);
    const plain = transactions.map(({ transaction }) => transaction);
    const position = positionAfter(this.#position, plain, group.chain);
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

  /** Begins the next segment; the one before it is then complete. When it fails, the old one goes on. */
  async rotate(): Promise<void> {
    const number = this.#number + 1;
    const file = await this.#startSegment(number);
    const finished = this.#file;
    this.#file = file;
    this.#number = number;
    await finished[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
  }

  async #startSegment(number: number): Promise<AppendHandle> {
    const { files, dir, keys } = this.#context;
    const path = segmentPath(dir, number);
    try {
      await files.create(path, encodeSegmentHeader(keys, number, this.#position));
      return await files.openAppend(path);
    } catch (failure) {
      await this.#withdraw(path);
      throw failure;
    }
  }

  /** A next segment that is there after all would contradict whatever is appended to this one. */
  async #withdraw(path: string): Promise<void> {
    try {
      await this.#context.files.remove(path);
    } catch (failure) {
      this.#broken = failure;
    }
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
