import { GatehouseError, isGatehouseError } from "../core/index.ts";
import { errorOf } from "./close.ts";
import type { Deadlines, Expiring } from "./deadlines.ts";
import { badFrame, type Frame } from "./frame.ts";
import { FrameDecoder } from "./frame-decoder.ts";
import { type CallStream, RESET, type StreamSink } from "./stream.ts";

/** Where a call's answer goes. */
export interface Receiver {
  /** Whether the next message may be delivered. */
  readonly isWanting: boolean;
  /** A view: decode before returning. @throws GatehouseError when the message is not welcome. */
  deliver(message: Uint8Array): void;
  /** The call is sent again: what was delivered of this answer does not count. */
  restart?(): void;
  /** The last call, and always made; undefined when the gatehouse closed with success. */
  end(error: GatehouseError | undefined): void;
}

/** A call on its way, as whoever carries it sees it. */
export interface PendingCall {
  readonly isOver: boolean;
  /** How often it was given a stream, or is about to be. */
  readonly attempts: number;
  /** When its time is up, on the monotonic clock. */
  readonly deadlineMs: number;
  /** For whoever carries the call: what it was put on. */
  carrier: unknown;
  /** Gives the stream up and sends the call again on another one, under the same request id. */
  repeat(): void;
}

/** A call is sent again after a while, at most until its time is up. */
export interface RepeatLater {
  readonly afterMs: number;
}

/** Whether a call that ended with `failure` is sent again in place of telling it: at once, after a while, or not. */
export type MayRepeat = (call: PendingCall, failure: GatehouseError) => boolean | RepeatLater;

/** How a call is sent again, and when. */
export interface Repetition {
  readonly mayRepeat: MayRepeat;
  readonly send: () => void;
}

/** The caller's end of one call. It ends exactly once: by close, failure, deadline or cancellation. */
export class ClientCall implements StreamSink, Expiring, PendingCall {
  attempts = 1;
  deadlineMs = Number.POSITIVE_INFINITY;
  carrier: unknown = undefined;
  readonly #deadlines: Deadlines;
  readonly #receiver: Receiver;
  #decoder = new FrameDecoder();
  #repetition: Repetition | undefined;
  #stream: CallStream | undefined;
  #expiryTick: number | undefined;
  #stopListening: (() => void) | undefined;
  #hasPeerEnded = false;
  #isPaused = false;
  #isOver = false;
  #hasFinished = false;
  #onDrain: (() => void) | undefined;
  /** Until the call is sent again. */
  #waiting: Disposable | undefined;

  constructor(deadlines: Deadlines, receiver: Receiver) {
    this.#deadlines = deadlines;
    this.#receiver = receiver;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Bounds the call in time and by the caller's signal, before there is a stream. */
  limit(deadlineMs: number, signal: AbortSignal | undefined): void {
    this.deadlineMs = deadlineMs;
    this.#expiryTick = this.#deadlines.add(this, deadlineMs);
    if (signal === undefined) return;
    const cancel = () => this.cancel(signal.reason);
    if (signal.aborted) {
      cancel();
      return;
    }
    signal.addEventListener("abort", cancel, { once: true });
    this.#stopListening = () => signal.removeEventListener("abort", cancel);
  }

  repeatable(repetition: Repetition): void {
    this.#repetition = repetition;
  }

  /** Not within the transport's turn: it may be looking at its streams right now. */
  repeat(): void {
    const send = this.#startAnew();
    if (send !== undefined) queueMicrotask(send);
  }

  /** Of the calls that wait so when the caller is disposed of, each ends with its `failure`. */
  #repeatLater(afterMs: number, failure: GatehouseError): void {
    const send = this.#startAnew();
    if (send === undefined) return;
    const end = () => this.#end(failure);
    this.#waiting = this.#deadlines.wait(afterMs, { over: send, dropped: end });
  }

  /** Gives the stream up; answers what sends the call again, unless nothing does. */
  #startAnew(): (() => void) | undefined {
    const { attempts } = this;
    if (this.#isOver || this.#repetition === undefined) return undefined;
    this.#waiting?.[Symbol.dispose]();
    this.#stream?.reset(RESET.cancelled);
    this.#stream = undefined;
    this.#decoder = new FrameDecoder();
    this.#hasPeerEnded = false;
    this.#isPaused = false;
    this.#hasFinished = false;
    this.#receiver.restart?.();
    this.attempts = attempts + 1;
    return this.#repetition.send;
  }

  /** Takes the call's stream; false, and the stream is reset, when the call is over already. */
  use(stream: CallStream): boolean {
    if (this.#isOver) {
      stream.reset(RESET.cancelled);
      return false;
    }
    this.#stream = stream;
    stream.attach(this);
    return !this.#isOver;
  }

  /** Waits where the stream is full. False when the call is over and there is nothing more to send. */
  async send(bytes: Uint8Array, fin: boolean): Promise<boolean> {
    if (!this.sendNow(bytes, fin) && !this.#isOver) {
      await new Promise<void>((resolve) => {
        this.#onDrain = resolve;
      });
    }
    return !this.#isOver;
  }

  /** False when the stream is full or the call is over. */
  sendNow(bytes: Uint8Array, fin: boolean): boolean {
    if (this.#isOver || this.#stream === undefined) return false;
    this.#hasFinished = fin;
    return this.#stream.write(bytes, fin);
  }

  data(bytes: Uint8Array, fin: boolean): void {
    if (this.#isOver) return;
    this.#hasPeerEnded ||= fin;
    this.#decoder.push(bytes);
    this.demand();
  }

  /** Delivers what has come, as far as the receiver wants it. */
  demand(): void {
    try {
      this.#deliver();
      this.#decoder.keep();
    } catch (failure) {
      this.fail(failure, RESET.protocol);
    }
  }

  drain(): void {
    const resume = this.#onDrain;
    this.#onDrain = undefined;
    resume?.();
  }

  closed(error: GatehouseError | undefined): void {
    // After the gatehouse's last byte the transport's end says nothing new: what is unread is all here.
    if (this.#hasPeerEnded) return;
    this.#endOrRepeat(error ?? new GatehouseError("quic.closed", "the gatehouse dropped the call"));
  }

  expire(): void {
    this.#expiryTick = undefined;
    this.fail(new GatehouseError("rpc.deadline", "no answer within the call's time"), RESET.deadline);
  }

  cancel(cause?: unknown): void {
    this.fail(new GatehouseError("rpc.cancelled", "the call was cancelled", { cause }), RESET.cancelled);
  }

  fail(failure: unknown, code: number): void {
    if (this.#isOver) return;
    this.#stream?.reset(code);
    this.#end(
      isGatehouseError(failure)
        ? failure
        : new GatehouseError("rpc.bad-message", "the call cannot be carried out", { cause: failure }),
    );
  }

  #deliver(): void {
    while (!this.#isOver && this.#receiver.isWanting) {
      const frame = this.#decoder.next();
      if (frame === undefined) break;
      this.#take(frame);
    }
    if (this.#isOver) return;
    if (this.#receiver.isWanting && this.#hasPeerEnded) throw badFrame("the answer ended without its close");
    this.#setPaused(!this.#receiver.isWanting && this.#decoder.unreadBytes > 0);
  }

  #take(frame: Frame): void {
    switch (frame.kind) {
      case "message":
        this.#receiver.deliver(frame.bytes);
        return;
      case "close":
        this.#close(errorOf(frame.close));
        return;
      case "open":
        throw badFrame("the gatehouse opened a call on the caller's stream");
    }
  }

  #close(error: GatehouseError | undefined): void {
    if (!this.#hasFinished) this.#stream?.reset(RESET.cancelled);
    this.#endOrRepeat(error);
  }

  #endOrRepeat(error: GatehouseError | undefined): void {
    const verdict = error !== undefined && (this.#repetition?.mayRepeat(this, error) ?? false);
    if (error === undefined || verdict === false) this.#end(error);
    else if (verdict === true) this.repeat();
    else this.#repeatLater(verdict.afterMs, error);
  }

  #setPaused(isPaused: boolean): void {
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) this.#stream?.pause();
    else this.#stream?.resume();
  }

  #end(error: GatehouseError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#waiting?.[Symbol.dispose]();
    if (this.#expiryTick !== undefined) this.#deadlines.remove(this, this.#expiryTick);
    this.#stopListening?.();
    this.drain();
    this.#receiver.end(error);
  }
}
