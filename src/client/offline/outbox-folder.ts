/**
 * Calls that wait for one gatehouse, in `outbox/<gatehouse id>/`:
 *
 * | name | what |
 * | --- | --- |
 * | `<place, 12 hex digits>-<request id>.call` | a call; they are sent in the order of their names |
 * | `<the same>.answer` | in its place: what became of it, for whoever asked |
 * | `.turn` | locked by the one that sends |
 * | `.order` | locked while a call is added |
 * | `.owners/<16 hex digits>` | locked by a process that waits for answers, as long as it lives |
 * | `.set-aside/` | what was damaged, or is not ours |
 *
 * What is written here is on disk when it is said to be.
 */
import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import {
  type Clock,
  GatehouseError,
  hex,
  isGatehouseError,
  LIMITS,
  type Random,
  unixMs,
} from "../../core/index.ts";
import {
  checkPrivate,
  ensurePrivateDir,
  isLocked,
  listFiles,
  listNames,
  moveFile,
  readSmallFile,
  removeExpendable,
  removeFile,
  removeLeftovers,
  tryLockFile,
  withUpdateLock,
  writeAtomic,
} from "../../files/index.ts";
import type { DeviceId } from "../../identity/index.ts";
import {
  decodeQueuedAnswer,
  decodeQueuedCall,
  encodeQueuedAnswer,
  encodeQueuedCall,
  OUTBOX_FILE_BYTES,
  type Outcome,
  OWNER_BYTES,
  parseStem,
  type QueuedAnswer,
  type QueuedCall,
  stemOf,
} from "./outbox-format.ts";
import { idInUse } from "./outbox-rules.ts";

/** A file of a process that was killed is left over after that. */
const LEFTOVER_MS = 3_600_000;
const SET_ASIDE = ".set-aside";
const OWNERS = ".owners";
const [CALL, ANSWER] = [".call", ".answer"];
const NOTHING: FolderNames = { calls: [], answers: [], strangers: [] };

export interface OutboxFolderOptions {
  /** `HomeLayout.outboxDir`; made when it is needed. */
  readonly dir: string;
  readonly gatehouseId: DeviceId;
  /** From the identity. */
  readonly key: KeyObject;
  readonly clock: Clock;
  readonly random: Random;
}

/** Names without their endings, in order. */
export interface FolderNames {
  readonly calls: readonly string[];
  readonly answers: readonly string[];
  /** Whole names, of what was not put here by us. */
  readonly strangers: readonly string[];
}

/** Drops what waits for a gatehouse that this home is done with. @throws file.io */
export async function forgetOutbox(dir: string, gatehouseId: DeviceId): Promise<void> {
  const own = join(dir, gatehouseId);
  for (const inner of [own, join(own, SET_ASIDE)])
    for (const name of await listNames(inner)) await removeExpendable(join(inner, name));
}

export class OutboxFolder implements AsyncDisposable {
  /** Names this process, or a part of it, among those that wait for answers. Hex. */
  readonly owner: string;
  readonly #options: OutboxFolderOptions;
  readonly #dir: string;
  #ownerLock: Disposable | undefined;

  constructor(options: OutboxFolderOptions) {
    this.#options = options;
    this.#dir = join(options.dir, options.gatehouseId);
    this.owner = hex(options.random.bytes(OWNER_BYTES));
  }

  /**
   * Puts a call behind all others. Answers its name.
   * @throws client.outbox-full; rpc.request-mismatch when one with this request id waits; home.bad-permissions, file.io
   */
  async add(call: Omit<QueuedCall, "owner" | "sent">, requestId: Uint8Array): Promise<string> {
    await this.#ready();
    return await withUpdateLock(this.#path(".order"), async () => {
      const { calls, answers } = await this.names();
      const taken = [...calls, ...answers].map((stem) => ({ stem, ...parseStem(stem) }));
      if (taken.some(({ stem }) => stem.endsWith(hex(requestId)))) throw idInUse();
      const sequence = Math.max(0, ...taken.map(({ sequence: other = 0 }) => other)) + 1;
      const stem = stemOf(sequence, requestId);
      const bytes = this.#encodeCall(stem, { ...call, owner: this.owner, sent: undefined });
      await this.#makeRoom(bytes.length);
      await writeAtomic(this.#path(stem + CALL), bytes);
      return stem;
    });
  }

  /** @throws home.bad-permissions: who can write here could have calls sent in this device's name; file.io */
  async names(): Promise<FolderNames> {
    const all = await listNames(this.#dir);
    if (all.length === 0) return NOTHING;
    await checkPrivate(this.#options.dir);
    await checkPrivate(this.#dir);
    const stems = (ending: string): readonly string[] =>
      all
        .filter((name) => name.endsWith(ending))
        .map((name) => name.slice(0, -ending.length))
        .filter((stem) => parseStem(stem) !== undefined);
    const [answers, calls] = [stems(ANSWER), stems(CALL)];
    const known = new Set([...answers.map((stem) => stem + ANSWER), ...calls.map((stem) => stem + CALL)]);
    return { calls, answers, strangers: all.filter((name) => !known.has(name)) };
  }

  /** Undefined when it is gone by now. @throws file.damaged, file.io */
  async readCall(stem: string): Promise<QueuedCall | undefined> {
    return await this.#read(stem + CALL, (bytes) => decodeQueuedCall(bytes, stem, this.#options));
  }

  /** Undefined when it is gone by now. @throws file.damaged, file.io */
  async readAnswer(stem: string): Promise<QueuedAnswer | undefined> {
    return await this.#read(stem + ANSWER, (bytes) => decodeQueuedAnswer(bytes, stem, this.#options));
  }

  /** Writes down that it is being sent. @throws file.io */
  async writeCall(stem: string, call: QueuedCall): Promise<void> {
    await writeAtomic(this.#path(stem + CALL), this.#encodeCall(stem, call));
  }

  /** Puts an answer into the place of its call. @throws file.io */
  async answer(stem: string, answer: QueuedAnswer): Promise<void> {
    const outcome = fitting(answer.outcome);
    await writeAtomic(
      this.#path(stem + ANSWER),
      encodeQueuedAnswer({ ...answer, outcome }, stem, this.#options),
    );
    await this.removeCall(stem);
  }

  /** @throws file.io */
  async removeCall(stem: string): Promise<void> {
    await removeFile(this.#path(stem + CALL));
  }

  /** @throws file.io */
  async removeAnswer(stem: string): Promise<void> {
    await removeFile(this.#path(stem + ANSWER));
  }

  /** Where it is in nobody's way. @throws file.io */
  async setAside(name: string): Promise<void> {
    const dir = this.#path(SET_ASIDE);
    await ensurePrivateDir(dir);
    await moveFile(this.#path(name), join(dir, name));
    const kept = (await listFiles(dir)).toSorted((a, b) => a.writtenAtMs - b.writtenAtMs);
    // One that cannot be removed, a folder say, is in nobody's way.
    for (const { name: oldest } of kept.slice(0, -LIMITS.outboxSetAside))
      await removeExpendable(join(dir, oldest)).catch(() => false);
  }

  setCallAside(stem: string): Promise<void> {
    return this.setAside(stem + CALL);
  }

  setAnswerAside(stem: string): Promise<void> {
    return this.setAside(stem + ANSWER);
  }

  /** The right to send, until disposed of; undefined when somebody else has it. @throws file.io */
  async takeTurn(): Promise<Disposable | undefined> {
    await this.#ready();
    return tryLockFile(this.#path(".turn"));
  }

  /** Whether somebody else waits for answers under that name now. @throws file.io */
  isWaitedFor(owner: string): boolean {
    return owner !== this.owner && isLocked(this.#ownerPath(owner));
  }

  /** From now on nobody takes this process for one that waits. @throws file.io */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ownerLock === undefined) return;
    this.#ownerLock[Symbol.dispose]();
    await removeExpendable(this.#ownerPath(this.owner));
  }

  /** Makes the folder, and the name of this process in it, once. */
  async #ready(): Promise<void> {
    if (this.#ownerLock !== undefined) return;
    await ensurePrivateDir(this.#options.dir);
    await ensurePrivateDir(this.#dir);
    await ensurePrivateDir(this.#path(OWNERS));
    this.#ownerLock ??= tryLockFile(this.#ownerPath(this.owner));
    await this.#sweep();
  }

  /** What processes have left that were killed. */
  async #sweep(): Promise<void> {
    const before = unixMs(Math.max(0, this.#options.clock.now() - LEFTOVER_MS));
    await removeLeftovers(this.#dir, before);
    for (const { name, writtenAtMs } of await listFiles(this.#path(OWNERS)))
      if (writtenAtMs < before && !isLocked(this.#ownerPath(name)))
        await removeExpendable(this.#ownerPath(name));
  }

  /** Answers that nobody has come for give way. @throws client.outbox-full */
  async #makeRoom(sizeBytes: number): Promise<void> {
    const files = await listFiles(this.#dir);
    let count = files.length + 1;
    let totalBytes = files.reduce((sum, file) => sum + file.sizeBytes, sizeBytes);
    const isFull = (): boolean => count > LIMITS.outboxCalls || totalBytes > LIMITS.outboxBytes;
    for (const { name, sizeBytes: ownBytes } of files) {
      if (!isFull()) return;
      if (!name.endsWith(ANSWER) || (await this.#isAwaited(name.slice(0, -ANSWER.length)))) continue;
      await removeFile(this.#path(name));
      count -= 1;
      totalBytes -= ownBytes;
    }
    if (isFull()) throw outboxFull();
  }

  async #isAwaited(stem: string): Promise<boolean> {
    const owner = (await this.readAnswer(stem).catch(() => undefined))?.owner;
    return owner !== undefined && (owner === this.owner || this.isWaitedFor(owner));
  }

  async #read<Record>(
    name: string,
    decode: (bytes: Uint8Array) => Record | undefined,
  ): Promise<Record | undefined> {
    let bytes: Uint8Array;
    try {
      bytes = await readSmallFile(this.#path(name), OUTBOX_FILE_BYTES);
    } catch (failure) {
      if (isGatehouseError(failure, "file.not-found")) return undefined;
      if (isGatehouseError(failure, "file.too-large")) throw damaged(name, failure);
      throw failure;
    }
    const record = decode(bytes);
    if (record === undefined) throw damaged(name);
    return record;
  }

  #encodeCall(stem: string, call: QueuedCall): Uint8Array {
    return encodeQueuedCall(call, stem, this.#options);
  }

  #ownerPath(owner: string): string {
    return join(this.#path(OWNERS), owner);
  }

  #path(name: string): string {
    return join(this.#dir, name);
  }
}

function fitting(outcome: Outcome): Outcome {
  if (outcome.kind === "failed" || outcome.response.length <= LIMITS.outboxAnswerBytes) return outcome;
  const message = `it was done, but its answer is larger than ${LIMITS.outboxAnswerBytes} bytes and was not kept`;
  return { kind: "failed", error: new GatehouseError("rpc.too-large", message) };
}

function outboxFull(): GatehouseError<"client.outbox-full"> {
  const { outboxCalls, outboxBytes } = LIMITS;
  return new GatehouseError(
    "client.outbox-full",
    `${outboxCalls} calls, or ${outboxBytes / 1_048_576} MiB of them, wait for this gatehouse already`,
    { hint: "they are sent when it can be reached" },
  );
}

function damaged(name: string, cause?: unknown): GatehouseError<"file.damaged"> {
  return new GatehouseError("file.damaged", `${name} is damaged, or was not written by this device`, {
    hint: `it is kept in ${SET_ASIDE} beside the others`,
    cause,
  });
}
