/**
 * Calls that wait until their gatehouse can be reached. Each is on disk, sealed, before anybody is told that it waits; they
 * are sent one after the other, in the order they were asked, each under one request id until it is answered. The gatehouse
 * knows the id for a day and does nothing twice; what was sent and may be older than that is not sent again.
 *
 * Of several processes that use a home one sends, for all of them; the others find the answers to theirs in the folder.
 */
import {
  type Clock,
  GatehouseError,
  hex,
  isGatehouseError,
  LIMITS,
  type Logger,
  type Random,
} from "../../core/index.ts";
import type { MethodDefinition } from "../../gen/index.ts";
import { REQUEST_ID_BYTES } from "../../rpc/index.ts";
import { Backoff } from "../link/backoff.ts";
import { closedHere } from "../link/link-failures.ts";
import { pause } from "../pause.ts";
import { failed, OutboxAttempts } from "./outbox-attempts.ts";
import type { FolderNames, OutboxFolder } from "./outbox-folder.ts";
import { idIn, type Outcome, parseStem, type QueuedCall } from "./outbox-format.ts";
import {
  afterDoubt,
  checkFits,
  checkMayWait,
  idInUse,
  requestIdOf,
  responseOf,
  stillWaiting,
  timeoutOf,
  vanished,
} from "./outbox-rules.ts";
import type { DrainOptions, EnqueuedCall, EnqueueOptions, SettledCall, WaitingCall } from "./outbox-types.ts";
import type { OutboxWire } from "./outbox-wire.ts";

/** Attempts to read a file that the system does not give. */
const READ_ATTEMPTS_MAX = 5;

export interface OutboxParts {
  readonly folder: OutboxFolder;
  readonly wire: OutboxWire;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** A call of this process. */
interface OwnCall {
  readonly settle: (outcome: Outcome) => void;
  /** Its file is there, or was. */
  isStored: boolean;
}

export class Outbox implements AsyncDisposable {
  readonly #parts: OutboxParts;
  readonly #gone = new AbortController();
  /** Calls of this process, by request id: another process, or this one, may send a call before `enqueue` knows its place. */
  readonly #own = new Map<string, OwnCall>();
  readonly #attempts: OutboxAttempts;
  /** Times that a file could not be read, by name. */
  readonly #unreadable = new Map<string, number>();
  /** Answers for others, by name, and who they are. */
  readonly #others = new Map<string, string>();
  readonly #drains = new Set<() => void>();
  #backoff: Backoff;
  #onSettled: DrainOptions["onSettled"];
  #storing: Promise<unknown> = Promise.resolve();
  #working: Promise<void> | undefined;
  #nap: AbortController | undefined;

  constructor(parts: OutboxParts) {
    this.#parts = parts;
    this.#attempts = new OutboxAttempts(parts);
    this.#backoff = this.#newBackoff();
  }

  /**
   * Stores a change, which is sent when all that were asked before it have their answers. It is on disk when this resolves,
   * and survives this process. Calls that are asked one after the other keep that order.
   *
   * @throws client.outbox-full with `LIMITS.outboxCalls` or `LIMITS.outboxBytes`; rpc.too-large, rpc.request-mismatch,
   * quic.closed, home.bad-permissions, file.io. @throws TypeError for a method that is no change which the gatehouse
   * remembers; RangeError
   */
  async enqueue<RequestFields, Request, ResponseFields, Response>(
    method: MethodDefinition<"unary", RequestFields, Request, ResponseFields, Response>,
    request: RequestFields,
    options: EnqueueOptions = {},
  ): Promise<EnqueuedCall<Response>> {
    checkMayWait(method.path);
    const { requestId = this.#parts.random.bytes(REQUEST_ID_BYTES) } = options;
    const [id, timeoutMs] = [requestIdOf(requestId), timeoutOf(options)];
    const key = this.#freeKey(id);
    const encoded = method.request.encode(request).finish(true);
    const answer = new Promise<Response>((resolve, reject) => {
      const settle = (outcome: Outcome): void => {
        try {
          resolve(responseOf(method, outcome));
        } catch (failure) {
          reject(failure);
        }
      };
      this.#own.set(key, { settle, isStored: false });
    });
    answer.catch(() => undefined);
    await this.#store(method.path, encoded, { id, timeoutMs });
    this.#start();
    return { requestId: id, answer };
  }

  /**
   * Sends what waits, of earlier processes too, now and until nothing does: then it resolves.
   * @throws quic.closed when the client is closed; what `signal` says: sending goes on all the same
   */
  async drain({ onSettled, signal }: DrainOptions = {}): Promise<void> {
    this.#onSettled = onSettled ?? this.#onSettled;
    signal?.throwIfAborted();
    const over = AbortSignal.any([this.#gone.signal, ...(signal === undefined ? [] : [signal])]);
    over.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        this.#drains.delete(done);
        reject(over.reason);
      };
      const done = (): void => {
        over.removeEventListener("abort", leave);
        this.#drains.delete(done);
        resolve();
      };
      over.addEventListener("abort", leave, { once: true });
      this.#drains.add(done);
      this.#nap?.abort();
      this.#start();
    });
  }

  /** What waits, in order; damaged ones are left out. @throws home.bad-permissions, file.io */
  async list(): Promise<readonly WaitingCall[]> {
    const { calls, answers } = await this.#parts.folder.names();
    const waiting: WaitingCall[] = [];
    for (const stem of calls.filter((name) => !answers.includes(name))) {
      const call = await this.#parts.folder.readCall(stem).catch(ignoreDamage);
      call?.request.fill(0);
      if (call === undefined) continue;
      const { method, askedAt, sent } = call;
      waiting.push({ requestId: idIn(stem), method, askedAt, firstSentAt: sent?.firstAt });
    }
    return waiting;
  }

  /** Stops sending; what waits stays, and so does what was sent and not answered. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#gone.abort(closedHere());
    await this.#storing.catch(() => undefined);
    await this.#working;
    for (const { settle } of this.#own.values()) settle(failed(stillWaiting()));
    this.#own.clear();
    await this.#parts.folder[Symbol.asyncDispose]();
  }

  get #isWanted(): boolean {
    return !this.#gone.signal.aborted && (this.#own.size > 0 || this.#drains.size > 0);
  }

  /** One after the other: the order in which they were asked. Wipes `request`. */
  async #store(
    method: string,
    request: Uint8Array,
    { id, timeoutMs }: { readonly id: Uint8Array; readonly timeoutMs: number },
  ): Promise<void> {
    const { folder, clock } = this.#parts;
    const storing = this.#storing.then(async () => {
      if (this.#gone.signal.aborted) throw closedHere();
      checkFits(request);
      await folder.add({ method, request, timeoutMs, askedAt: clock.now() }, id);
    });
    this.#storing = storing.catch(() => undefined);
    try {
      await storing;
      const own = this.#own.get(hex(id));
      if (own !== undefined) own.isStored = true;
      if (this.#gone.signal.aborted) own?.settle(failed(stillWaiting()));
    } catch (failure) {
      this.#own.delete(hex(id));
      throw failure;
    } finally {
      request.fill(0);
    }
  }

  /** @throws rpc.request-mismatch */
  #freeKey(id: Uint8Array): string {
    const key = hex(id);
    if (this.#own.has(key)) throw idInUse();
    return key;
  }

  #start(): void {
    if (!this.#isWanted) return;
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
      this.#start();
    });
  }

  async #work(): Promise<void> {
    while (this.#isWanted) {
      try {
        using turn = await this.#parts.folder.takeTurn();
        if (turn === undefined) await this.#collect();
        else await this.#send();
      } catch (failure) {
        this.#warn("outbox-unavailable", failure);
        await this.#sleep();
      }
      if (this.#isWanted) await pause(this.#parts.clock, LIMITS.outboxPollMs, this.#gone.signal);
    }
  }

  /** Somebody else sends: takes what has been answered. */
  async #collect(): Promise<void> {
    const own = this.#storedKeys();
    const names = await this.#parts.folder.names();
    await this.#takeAnswers(names);
    this.#endVanished(own, names);
    if (names.calls.length === 0) this.#emptied();
  }

  /** While this one has the turn. */
  async #send(): Promise<void> {
    while (this.#isWanted) {
      const own = this.#storedKeys();
      const names = await this.#parts.folder.names();
      for (const name of names.strangers) await this.#setAside(name, () => this.#parts.folder.setAside(name));
      await this.#takeAnswers(names);
      await this.#tellAnswers(names);
      this.#endVanished(own, names);
      const stem = names.calls.find((name) => !names.answers.includes(name));
      if (stem === undefined) {
        this.#emptied();
        return;
      }
      await this.#attempt(stem);
    }
  }

  #emptied(): void {
    for (const done of this.#drains) done();
  }

  /** Of calls of this process, which another one has sent. */
  async #takeAnswers({ answers }: FolderNames): Promise<void> {
    const { folder } = this.#parts;
    for (const stem of answers.filter((name) => this.#own.has(keyOf(name)))) {
      try {
        const answer = await folder.readAnswer(stem);
        if (answer === undefined) continue;
        await folder.removeAnswer(stem);
        this.#end(stem, answer.outcome);
      } catch (failure) {
        if (!isGatehouseError(failure, "file.damaged")) throw failure;
        await folder.setAnswerAside(stem);
        this.#end(stem, failed(afterDoubt(failure)));
      }
    }
  }

  /** Of calls whose processes are gone, where somebody wants to hear of them. */
  async #tellAnswers({ answers, calls }: FolderNames): Promise<void> {
    const { folder } = this.#parts;
    for (const stem of this.#others.keys()) if (!answers.includes(stem)) this.#others.delete(stem);
    for (const stem of answers.filter((name) => !this.#own.has(keyOf(name)))) {
      // Its writer was killed in between.
      if (calls.includes(stem)) await folder.removeCall(stem);
      if (this.#onSettled !== undefined) await this.#tellAnswer(stem);
    }
  }

  async #tellAnswer(stem: string): Promise<void> {
    const { folder } = this.#parts;
    const known = this.#others.get(stem);
    if (known !== undefined && folder.isWaitedFor(known)) return;
    try {
      const answer = await folder.readAnswer(stem);
      if (answer === undefined) return;
      const { owner, method, askedAt, outcome } = answer;
      this.#others.set(stem, owner);
      if (folder.isWaitedFor(owner)) return;
      await this.#tell({ requestId: idIn(stem), method, askedAt, outcome });
      await folder.removeAnswer(stem);
    } catch (failure) {
      if (!isGatehouseError(failure, "file.damaged")) throw failure;
      await this.#setAside(stem, () => folder.setAnswerAside(stem));
    }
  }

  #storedKeys(): readonly string[] {
    return [...this.#own].filter(([, { isStored }]) => isStored).map(([key]) => key);
  }

  #endVanished(own: readonly string[], { calls, answers }: FolderNames): void {
    const present = new Set([...calls, ...answers].map(keyOf));
    for (const key of own) if (!present.has(key)) this.#endOwn(key, failed(vanished()));
  }

  /** Sends the first call once, unless it must not be sent; waits a while when it stays the first. */
  async #attempt(stem: string): Promise<void> {
    const call = await this.#read(stem);
    if (call === undefined) return;
    try {
      const outcome = await this.#attempts.make(stem, call, this.#gone.signal);
      if (outcome.kind === "later") {
        await this.#sleep(outcome.retryAfterMs);
        return;
      }
      await this.#settle(stem, call, outcome);
      this.#backoff = this.#newBackoff();
    } finally {
      call.request.fill(0);
    }
  }

  /** Undefined when it is gone, or set aside. */
  async #read(stem: string): Promise<QueuedCall | undefined> {
    const { folder } = this.#parts;
    try {
      const call = await folder.readCall(stem);
      this.#unreadable.delete(stem);
      return call;
    } catch (failure) {
      const times = (this.#unreadable.get(stem) ?? 0) + 1;
      this.#unreadable.set(stem, times);
      if (!isGatehouseError(failure, "file.damaged") && times < READ_ATTEMPTS_MAX) throw failure;
      this.#unreadable.delete(stem);
      await this.#setAside(stem, () => folder.setCallAside(stem));
      return undefined;
    }
  }

  async #settle(stem: string, { owner, method, askedAt }: QueuedCall, outcome: Outcome): Promise<void> {
    const { folder } = this.#parts;
    const isOwn = this.#own.has(keyOf(stem));
    const isTold = !isOwn && this.#onSettled !== undefined && !folder.isWaitedFor(owner);
    if (!isOwn && !isTold) await folder.answer(stem, { owner, method, askedAt, outcome });
    if (isTold) await this.#tell({ requestId: idIn(stem), method, askedAt, outcome });
    if (isOwn || isTold) await folder.removeCall(stem);
    this.#end(stem, outcome);
  }

  async #setAside(name: string, move: () => Promise<void>): Promise<void> {
    await move();
    const message = `${name} was damaged, or not written by this device, and is set aside`;
    const error = new GatehouseError("file.damaged", message, {
      hint: "whether it was carried out is not known",
    });
    this.#warn("outbox-file-set-aside", error);
    const [stem = ""] = name.split(".");
    if (this.#own.has(keyOf(stem))) this.#end(stem, failed(error));
    else {
      const requestId = parseStem(stem)?.requestId;
      await this.#tell({ requestId, method: undefined, askedAt: undefined, outcome: failed(error) });
    }
  }

  async #tell(call: SettledCall): Promise<void> {
    try {
      await this.#onSettled?.(call);
    } catch (failure) {
      this.#warn("outbox-listener-failed", failure);
    }
  }

  /** Nothing more comes of it. */
  #end(stem: string, outcome: Outcome): void {
    this.#attempts.forget(stem);
    this.#endOwn(keyOf(stem), outcome);
  }

  #endOwn(key: string, outcome: Outcome): void {
    const own = this.#own.get(key);
    this.#own.delete(key);
    own?.settle(outcome);
  }

  /** As long as the gatehouse said, else as long as failures advise, or until somebody wants to drain. */
  async #sleep(retryAfterMs = 0): Promise<void> {
    const { clock } = this.#parts;
    const gone = this.#gone.signal;
    this.#backoff.failed();
    await pause(clock, Math.min(retryAfterMs, LIMITS.outboxRetryAfterMaxMs), gone);
    if (retryAfterMs > 0) return;
    this.#nap = new AbortController();
    await pause(clock, this.#backoff.delayMs(), AbortSignal.any([gone, this.#nap.signal]));
    this.#nap = undefined;
  }

  #newBackoff(): Backoff {
    const { clock, random } = this.#parts;
    return new Backoff(clock, random, LIMITS.outboxPauseMaxMs);
  }

  #warn(event: string, failure: unknown): void {
    const { code, message } = isGatehouseError(failure)
      ? failure
      : { code: "unknown", message: failure instanceof Error ? failure.message : "" };
    this.#parts.logger.warn(event, { code, error: message });
  }
}

function ignoreDamage(failure: unknown): undefined {
  if (!isGatehouseError(failure, "file.damaged")) throw failure;
}

/** The request id, hex. */
function keyOf(stem: string): string {
  return stem.slice(stem.indexOf("-") + 1);
}
