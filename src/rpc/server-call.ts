import { GatehouseError, invariant, isGatehouseError, LIMITS } from "../core/index.ts";
import { closeOf } from "./close.ts";
import { type AnyMethod, ServerContext } from "./context.ts";
import type { Deadlines, Expiring } from "./deadlines.ts";
import { badFrame, type Open, SUCCESS } from "./frame.ts";
import { FrameDecoder } from "./frame-decoder.ts";
import { encodeAnswer, encodeClose, encodeMessage } from "./frame-encoder.ts";
import type { CallBytes } from "./held-bytes.ts";
import { MessageStream } from "./message-stream.ts";
import type { Answer, Awaitable, Route } from "./route.ts";
import { type CallStream, RESET, type StreamSink } from "./stream.ts";

/** What a call asks of its router. */
export interface CallHost<Peer> {
  deadlines(): Deadlines;
  hold(peer: Peer): CallBytes;
  /** @throws GatehouseError when there is no such method or no new call is taken. */
  route(path: string): Route<Peer>;
  /** @throws rpc.too-early unless a call that came in early data may be answered. */
  acceptEarly(method: AnyMethod, requestId: Uint8Array | undefined, peer: Peer): void;
  began(call: ServerCall<Peer>): void;
  ended(call: ServerCall<Peer>): void;
  /** A handler failed with something it should not have. */
  failed(method: AnyMethod | undefined, cause: unknown): void;
}

/**
 * `opening` → `requesting` (one request and the end of the caller's side) → `running` → `leaving` (answered;
 * the caller may still be sending or reading) → `over` (the stream is not touched any more).
 */
type State = "opening" | "requesting" | "running" | "leaving" | "over";

/** One call on its stream, from the first byte to the last. Nothing thrown leaves it. */
export class ServerCall<Peer> implements StreamSink, Expiring {
  readonly #host: CallHost<Peer>;
  readonly #stream: CallStream;
  readonly #peer: Peer;
  readonly #decoder = new FrameDecoder();
  #held: CallBytes | undefined;
  #state: State = "opening";
  #route: Route<Peer> | undefined;
  #context: ServerContext<Peer> | undefined;
  #request: Uint8Array | undefined;
  #requests: MessageStream<Uint8Array> | undefined;
  #hasPeerEnded = false;
  #isPaused = false;
  #isBlocked = false;
  #onDrain: (() => void) | undefined;
  #lastProgressMs = 0;
  #expiryTick: number | undefined;

  constructor(host: CallHost<Peer>, stream: CallStream, peer: Peer) {
    this.#host = host;
    this.#stream = stream;
    this.#peer = peer;
  }

  start(): void {
    this.#host.began(this);
    this.#stream.attach(this);
    // A request that came whole needs no watching: most are answered by now.
    if (this.#state === "over" || this.#expiryTick !== undefined) return;
    this.#lastProgressMs = this.#host.deadlines().nowMs();
    this.#watch();
  }

  data(bytes: Uint8Array, fin: boolean): void {
    this.#hasPeerEnded ||= fin;
    if (this.#state === "leaving") this.#leaveIfQuiet();
    if (this.#isOver()) return;
    try {
      this.#decoder.push(bytes);
      this.#advance();
      this.#decoder.keep();
      this.#holdRequest();
    } catch (failure) {
      this.fail(failure);
    }
  }

  drain(): void {
    this.#isBlocked = false;
    const resume = this.#onDrain;
    this.#onDrain = undefined;
    resume?.();
    if (this.#state !== "leaving") return;
    this.#leaveIfQuiet();
    if (this.#isLeaving()) this.#lingerFromNow();
  }

  closed(error: GatehouseError | undefined): void {
    this.#end(error ?? new GatehouseError("rpc.cancelled", "the caller has left"), "over");
  }

  /** Ends the call with a failure; anything but a `GatehouseError` is logged and told as `rpc.internal`. */
  fail(failure: unknown): void {
    if (this.#state === "leaving" || this.#state === "over") return;
    if (!isGatehouseError(failure)) this.#host.failed(this.#route?.method, failure);
    const error = isGatehouseError(failure)
      ? failure
      : new GatehouseError("rpc.internal", "the gatehouse failed", { cause: failure });
    if (this.#isBlocked) this.#abandon(error, RESET.stalled);
    else this.#finish(encodeClose(closeOf(failure)), error);
  }

  expire(): void {
    this.#expiryTick = undefined;
    if (this.#state === "over") return;
    const nowMs = this.#host.deadlines().nowMs();
    if (nowMs < this.#expiresAtMs()) this.#watch();
    else if (this.#state === "leaving") this.#abandon(undefined, RESET.stalled);
    else this.fail(new GatehouseError("rpc.deadline", "the call's time is up"));
  }

  #advance(): void {
    if (this.#state === "opening") this.#readOpen();
    else if (this.#state === "requesting") this.#lastProgressMs = this.#host.deadlines().nowMs();
    if (this.#state === "requesting") this.#readRequest();
    else if (this.#requests !== undefined) this.#readRequests(this.#requests);
  }

  #readOpen(): void {
    const frame = this.#decoder.next();
    if (frame === undefined) {
      if (this.#hasPeerEnded) throw badFrame("the call ended before it was opened");
      return;
    }
    if (frame.kind !== "open") throw badFrame("the first frame must open the call");
    this.#open(frame.open);
  }

  #open(open: Open): void {
    const route = this.#host.route(open.method);
    const isEarlyData = this.#stream.isEarlyData === true;
    if (isEarlyData) this.#host.acceptEarly(route.method, open.requestId, this.#peer);
    const deadlines = this.#host.deadlines();
    this.#lastProgressMs = deadlines.nowMs();
    this.#route = route;
    this.#context = new ServerContext({
      method: route.method,
      peer: this.#peer,
      requestId: open.requestId,
      traceparent: open.traceparent,
      isEarlyData,
      deadlineMs:
        this.#lastProgressMs + Math.min(open.timeoutMs || LIMITS.callTimeoutMaxMs, LIMITS.callTimeoutMaxMs),
      nowMs: () => deadlines.nowMs(),
    });
    this.#state = "requesting";
    if (route.input === "many") {
      this.#requests = new MessageStream({
        demand: () => this.#onDemand(),
        abandon: () => undefined,
      });
      this.#state = "running";
      this.#run(route.run(this.#requests, this.#context));
    }
  }

  /** Waits for the end of the caller's side: an extra message must be seen before anything is done. */
  #readRequest(): void {
    for (let frame = this.#decoder.next(); frame !== undefined; frame = this.#decoder.next()) {
      if (frame.kind !== "message") throw badFrame("after the open only messages may come");
      if (this.#request !== undefined) throw badFrame("the method takes one message");
      this.#request = outsideOfHeap(frame.bytes);
    }
    if (!this.#hasPeerEnded) return;
    this.#assertWhole();
    if (this.#request === undefined) throw badFrame("the call ended before its message");
    const route = this.#route;
    invariant(route?.input === "one" && this.#context !== undefined, "a request has its route");
    this.#state = "running";
    this.#run(route.run(this.#request, this.#context));
  }

  #readRequests(requests: MessageStream<Uint8Array>): void {
    while (requests.isWanting) {
      const frame = this.#decoder.next();
      if (frame === undefined) break;
      if (frame.kind !== "message") throw badFrame("after the open only messages may come");
      requests.deliver(new Uint8Array(frame.bytes));
    }
    if (requests.isWanting && this.#hasPeerEnded) {
      this.#assertWhole();
      requests.finish(undefined);
    }
    this.#setPaused(!requests.isWanting && this.#decoder.unreadBytes > 0);
  }

  /** Never once it runs: what was begun is not answered as if it had not been. */
  #holdRequest(): void {
    if (this.#state !== "opening" && this.#state !== "requesting") return;
    if (this.#hold(this.#decoder.unreadBytes + (this.#request?.length ?? 0))) return;
    throw new GatehouseError("rpc.overloaded", "too much of this connection's calls waits in memory", {
      retryAfterMs: 1_000,
    });
  }

  /** False: so much is not to be held. */
  #hold(bytes: number): boolean {
    if (bytes === 0 && this.#held === undefined) return true;
    this.#held ??= this.#host.hold(this.#peer);
    return this.#held.set(bytes);
  }

  #assertWhole(): void {
    if (this.#decoder.unreadBytes > 0) throw badFrame("the call ended inside a frame");
  }

  #run(answer: Awaitable<Answer>): void {
    if (!(answer instanceof Promise)) {
      this.#settle(answer);
      return;
    }
    answer
      .then(
        (settled) => this.#settle(settled),
        (failure) => this.fail(failure),
      )
      .catch((failure: unknown) => this.#broken(failure));
    if (this.#state === "running") this.#watch();
  }

  /** A bug of ours in answering: it costs this call, never the process. */
  #broken(failure: unknown): void {
    this.#host.failed(this.#route?.method, failure);
    try {
      this.#abandon(
        new GatehouseError("rpc.internal", "the gatehouse failed", { cause: failure }),
        RESET.internal,
      );
    } catch (again) {
      this.#host.failed(this.#route?.method, again);
    }
  }

  #settle(answer: Answer): void {
    if (this.#state !== "running") return;
    if (!(answer instanceof Uint8Array)) {
      this.#pump(answer).catch((failure: unknown) => this.#broken(failure));
      if (this.#state === "running") this.#watch();
      return;
    }
    try {
      const frames = encodeAnswer(answer);
      answer.fill(0);
      this.#finish(frames, undefined);
    } catch (failure) {
      this.fail(failure);
    }
  }

  /** Leaving the loop early closes the handler's iterator. */
  async #pump(answers: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const message of answers) {
        if (this.#isOver()) return;
        const frame = encodeMessage(message);
        message.fill(0);
        if (!this.#stream.write(frame, false)) await this.#drained();
        if (this.#isOver()) return;
      }
      if (!this.#isOver()) this.#finish(encodeClose(SUCCESS), undefined);
    } catch (failure) {
      this.fail(failure);
    }
  }

  /** A question, so that the compiler does not carry an answer over an `await`. */
  #isOver(): boolean {
    return this.#state === "leaving" || this.#state === "over";
  }

  #drained(): Promise<void> {
    this.#isBlocked = true;
    return new Promise((resolve) => {
      this.#onDrain = resolve;
    });
  }

  #onDemand(): void {
    if (this.#isOver()) return;
    try {
      this.#advance();
      this.#decoder.keep();
    } catch (failure) {
      this.fail(failure);
    }
  }

  #setPaused(isPaused: boolean): void {
    if (isPaused === this.#isPaused || this.#isOver()) return;
    this.#isPaused = isPaused;
    if (isPaused) this.#stream.pause();
    else this.#stream.resume();
  }

  /** The last write. The caller gets a while to end its side and to read; then the stream is reset. */
  #finish(bytes: Uint8Array, error: GatehouseError | undefined): void {
    this.#setPaused(false);
    this.#isBlocked = !this.#stream.write(bytes, true);
    this.#end(error, "leaving");
    if (this.#isBlocked && !this.#hold(bytes.length)) this.#abandon(error, RESET.limit);
    this.#leaveIfQuiet();
    if (this.#isLeaving()) this.#lingerFromNow();
  }

  /** As `#isOver`. */
  #isLeaving(): boolean {
    return this.#state === "leaving";
  }

  #lingerFromNow(): void {
    this.#lastProgressMs = this.#host.deadlines().nowMs();
    this.#watch();
  }

  #leaveIfQuiet(): void {
    if (!this.#hasPeerEnded || this.#isBlocked) return;
    this.#hold(0);
    this.#unwatch();
    this.#state = "over";
  }

  #abandon(error: GatehouseError | undefined, code: number): void {
    this.#stream.reset(code);
    this.#end(error, "over");
  }

  #end(error: GatehouseError | undefined, state: "leaving" | "over"): void {
    this.#unwatch();
    this.#hold(0);
    this.#decoder.clear();
    this.#request = undefined;
    this.#state = state;
    this.#host.ended(this);
    this.#requests?.finish(error);
    try {
      this.#context?.end(error);
    } catch (cause) {
      this.#host.failed(this.#route?.method, cause);
    }
    this.#onDrain?.();
    this.#onDrain = undefined;
  }

  #watch(): void {
    this.#unwatch();
    this.#expiryTick = this.#host.deadlines().add(this, this.#expiresAtMs());
  }

  /**
   * A caller that is to send or to end has `streamStallMs` from its last progress. One that reads has until the deadline: how
   * far it has read is not to be seen, and a large answer takes its time on a slow link.
   */
  #expiresAtMs(): number {
    const stallMs = this.#lastProgressMs + LIMITS.streamStallMs;
    const deadlineMs = this.#context?.deadlineMs ?? stallMs;
    if (this.#state === "running") return deadlineMs;
    if (this.#state === "leaving") return this.#isBlocked ? Math.max(stallMs, deadlineMs) : stallMs;
    return Math.min(stallMs, deadlineMs);
  }

  #unwatch(): void {
    if (this.#expiryTick === undefined) return;
    this.#host.deadlines().remove(this, this.#expiryTick);
    this.#expiryTick = undefined;
  }
}

/**
 * A copy that the garbage collector does not move about, as it does with arrays of 64 bytes and less: whoever wipes it wipes
 * all there is of it.
 */
function outsideOfHeap(bytes: Uint8Array): Uint8Array {
  const { buffer, byteOffset, length } = Buffer.allocUnsafe(bytes.length);
  const copy = new Uint8Array(buffer, byteOffset, length);
  copy.set(bytes);
  return copy;
}
