import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import { GatehouseError, LIMITS, type Logger, type Random } from "../core/index.ts";
import { AppendFile, createOnce } from "../files/index.ts";
import { AuditDamage } from "./damage.ts";
import { genesisHash, recordHash } from "./record.ts";
import { readSegment, readSegmentStart, segmentFile, segmentNumbers } from "./segment-files.ts";
import {
  claimedLogId,
  encodeSegmentHeader,
  LOG_ID_BYTES,
  type LogKeys,
  logKeys,
  SEGMENT_HEADER_BYTES,
  sealGroup,
} from "./segment-format.ts";
import { type AuditLink, type ChainState, walkSegment } from "./segment-walk.ts";

export interface StoreOptions {
  readonly dir: string;
  readonly key: KeyObject;
  readonly random: Random;
  readonly logger: Logger;
}

/** An event on its way into the log. */
export interface PendingRecord {
  readonly event: Uint8Array;
  readonly journalSequence: number;
}

/** The newest segment, open for appending. One writer; `write` calls take turns. */
export class SegmentStore implements AsyncDisposable {
  readonly keys: LogKeys;
  readonly #dir: string;
  readonly #random: Random;
  #segmentNumber: number;
  #file: AppendFile;
  #state: ChainState;
  #writeCount = 0;
  #syncedCount = 0;

  private constructor(options: StoreOptions, keys: LogKeys, active: ActiveSegment) {
    this.keys = keys;
    this.#dir = options.dir;
    this.#random = options.random;
    this.#segmentNumber = active.number;
    this.#file = active.file;
    this.#state = active.state;
  }

  /** Starts a log in an empty directory. @throws audit.damaged, file.io */
  static async open(options: StoreOptions): Promise<SegmentStore> {
    const { dir, key, random } = options;
    const numbers = await segmentNumbers(dir);
    const last = numbers.at(-1);
    if (last !== undefined) {
      const keys = await keysOf(dir, last, key);
      return new SegmentStore(options, keys, await resume(options, keys, last));
    }
    const logId = random.bytes(LOG_ID_BYTES);
    const keys = logKeys(key, logId);
    const state = { head: { sequence: 0, hash: genesisHash(logId) }, journalSequence: 0 };
    return new SegmentStore(options, keys, { number: 1, state, file: await start(dir, keys, 1, state) });
  }

  /** What is written. */
  get state(): ChainState {
    return this.#state;
  }

  /** Chains, seals and writes the records as one group. @throws file.io; nothing may be written after that. */
  async write(pending: readonly PendingRecord[]): Promise<readonly AuditLink[]> {
    if (this.#file.size >= LIMITS.auditSegmentBytes) await this.#rotate();
    const [links, state] = chain(pending, this.#state);
    const records = links.map(({ record }) => record);
    const place = { segmentNumber: this.#segmentNumber, offset: this.#file.size };
    this.#writeCount += 1;
    await this.#file.append(sealGroup(this.keys, place, records, this.#random));
    this.#state = state;
    return links;
  }

  /** Makes all that is written durable. @throws file.io; nothing may be written after that. */
  async sync(): Promise<void> {
    const written = this.#writeCount;
    if (written === this.#syncedCount) return;
    // A segment that was full meanwhile was synced before the next one began.
    await this.#file.sync();
    this.#syncedCount = Math.max(this.#syncedCount, written);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
  }

  async #rotate(): Promise<void> {
    await this.#file.sync();
    const full = this.#file;
    this.#file = await start(this.#dir, this.keys, this.#segmentNumber + 1, this.#state);
    this.#segmentNumber += 1;
    await full[Symbol.asyncDispose]();
  }
}

/** Keys for the log that segment `number` says it belongs to; the header itself is checked when it is walked. */
export async function keysOf(dir: string, number: number, key: KeyObject): Promise<LogKeys> {
  const bytes = await readSegmentStart(dir, number, SEGMENT_HEADER_BYTES);
  if (bytes.length < SEGMENT_HEADER_BYTES) {
    const place = { file: segmentFile(number), offset: 0, sequence: undefined };
    throw new AuditDamage("it is shorter than a header", place);
  }
  return logKeys(key, claimedLogId(bytes));
}

interface ActiveSegment {
  readonly number: number;
  readonly file: AppendFile;
  readonly state: ChainState;
}

/** Checks the newest segment, and cuts off a group that was never written to its end. */
async function resume({ dir, logger }: StoreOptions, keys: LogKeys, number: number): Promise<ActiveSegment> {
  const segment = await readSegment(dir, number);
  const walk = walkSegment(keys, segment);
  let step = walk.next();
  while (step.done !== true) step = walk.next();
  const { state, wholeBytes } = step.value;
  const file = await AppendFile.open(join(dir, segment.file), { create: false });
  try {
    if (wholeBytes < file.size) {
      const bytes = file.size - wholeBytes;
      logger.warn("audit-torn-tail-cut", { file: segment.file, offset: wholeBytes, bytes });
      await file.truncate(wholeBytes);
      await file.sync();
    }
    return { number, file, state };
  } catch (error) {
    await file[Symbol.asyncDispose]();
    throw error;
  }
}

/** Makes a segment with its header, durable with its name before anything follows. */
async function start(dir: string, keys: LogKeys, number: number, state: ChainState): Promise<AppendFile> {
  const { head: before, journalSequence: journalSequenceBefore } = state;
  const path = join(dir, segmentFile(number));
  const header = encodeSegmentHeader(keys, { number, before, journalSequenceBefore });
  if ((await createOnce(path, header)) === "exists") {
    throw new GatehouseError("file.exists", `${segmentFile(number)} appeared while the log was in use`);
  }
  return await AppendFile.open(path, { create: false });
}

function chain(
  pending: readonly PendingRecord[],
  state: ChainState,
): readonly [readonly AuditLink[], ChainState] {
  let { head, journalSequence } = state;
  const links = pending.map(({ event, journalSequence: ofThis }) => {
    const record = { sequence: head.sequence + 1, previousHash: head.hash, event, journalSequence: ofThis };
    head = { sequence: record.sequence, hash: recordHash(record) };
    journalSequence = Math.max(journalSequence, ofThis);
    return { record, hash: head.hash };
  });
  return [links, { head, journalSequence }];
}
