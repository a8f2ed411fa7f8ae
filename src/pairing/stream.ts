import { type Clock, GatehouseError, LIMITS } from "../core/index.ts";
import type { PairingInitiator, PairingResult } from "./initiator.ts";
import type { PairingOutput, PairingResponder } from "./responder.ts";

/** One bidirectional stream, as pairing needs it: what a QUIC stream offers. */
export interface PairingStream {
  /** Installs the reader; called once, before anything is delivered. */
  attach(sink: PairingStreamSink): void;
  /** `fin` ends our side. The exchange's few bytes never fill a buffer, so the answer is not looked at. */
  write(bytes: Uint8Array, fin: boolean): boolean;
  pause(): void;
  resume(): void;
}

export interface PairingStreamSink {
  /** `bytes` is lent until it returns. */
  data(bytes: Uint8Array, fin: boolean): void;
  drain(): void;
  closed(error: GatehouseError | undefined): void;
}

/**
 * Runs the gatehouse's side over `stream` until either side is through. Resolves when nothing more will be sent,
 * with the failure if there was no grant; never rejects. Disposes of `responder`.
 */
export async function servePairing(
  stream: PairingStream,
  responder: PairingResponder,
  clock: Clock,
): Promise<GatehouseError | undefined> {
  const serving = new Serving(stream, responder, clock);
  return await serving.over;
}

class Serving {
  readonly over: Promise<GatehouseError | undefined>;
  readonly #stream: PairingStream;
  readonly #responder: PairingResponder;
  readonly #deadline: Disposable;
  #settle: (failure: GatehouseError | undefined) => void = () => undefined;
  #watched: AbortSignal | undefined;
  #isOver = false;

  constructor(stream: PairingStream, responder: PairingResponder, clock: Clock) {
    this.#stream = stream;
    this.#responder = responder;
    this.over = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#deadline = clock.setTimer(LIMITS.pairingProofMs, () => {
      if (responder.signal === undefined)
        this.#fail(new GatehouseError("pairing.expired", "no hello came in time"));
    });
    stream.attach({
      data: (bytes, fin) => void this.#data(copyOf(bytes), fin),
      drain: () => undefined,
      closed: (error) => this.#end(error ?? linkLost()),
    });
  }

  async #data(bytes: Uint8Array, fin: boolean): Promise<void> {
    this.#stream.pause();
    const output = await this.#responder.receive(bytes);
    this.#watch();
    this.#send(output);
    void output.later?.then((answer) => this.#send(answer));
    if (fin) this.#end(linkLost());
    else this.#stream.resume();
  }

  #watch(): void {
    const { signal } = this.#responder;
    if (signal === undefined || signal === this.#watched) return;
    this.#watched = signal;
    if (signal.aborted) this.#fail(signal.reason);
    else signal.addEventListener("abort", () => this.#fail(signal.reason), { once: true });
  }

  #fail(reason: unknown): void {
    this.#send(this.#responder.fail(reason));
  }

  #send({ bytes, isDone, failure }: PairingOutput): void {
    if (this.#isOver || (bytes.length === 0 && !isDone)) return;
    this.#stream.write(bytes, isDone);
    if (isDone) this.#end(failure);
  }

  #end(failure: GatehouseError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#deadline[Symbol.dispose]();
    this.#responder.end();
    this.#settle(failure);
  }
}

export interface JoinedPairing {
  readonly result: PairingResult;
  /** Call it when the result is stored; resolves when the gatehouse has heard, the link is gone or `signal` aborts. */
  readonly acknowledge: () => Promise<void>;
}

export interface JoinPairingOptions {
  /** Ends the exchange with its reason. */
  readonly signal: AbortSignal;
  /**
   * When there: the exchange gets `LIMITS.pairingExchangeMs`, and anew, on top of what it takes, when somebody at the
   * gatehouse has to be asked.
   */
  readonly clock?: Clock;
  /** Somebody at the gatehouse is asked about this device; the answer takes so many milliseconds at most. */
  readonly onPending?: (timeoutMs: number) => void;
}

/**
 * Runs the joiner's side over `stream` up to the checked grant.
 * @throws GatehouseError what the gatehouse refused with, `pairing.bad-message`, `pairing.wrong-code`,
 * `pairing.wrong-gatehouse`, `quic.closed`, `quic.timed-out`; `signal`'s reason when it aborts.
 */
export async function joinPairing(
  stream: PairingStream,
  initiator: PairingInitiator,
  { signal, clock, onPending }: JoinPairingOptions,
): Promise<JoinedPairing> {
  signal.throwIfAborted();
  let deadline: Disposable | undefined;
  const expireAfter = (delayMs: number): void => {
    deadline?.[Symbol.dispose]();
    deadline = clock?.setTimer(delayMs, () => joining.fail(hanging()));
  };
  const joining = new Joining(stream, initiator, (timeoutMs) => {
    expireAfter(timeoutMs + LIMITS.pairingExchangeMs);
    onPending?.(timeoutMs);
  });
  expireAfter(LIMITS.pairingExchangeMs);
  const abort = (): void => joining.fail(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    const result = await joining.granted;
    return { result, acknowledge: () => joining.acknowledge(signal) };
  } finally {
    signal.removeEventListener("abort", abort);
    deadline?.[Symbol.dispose]();
  }
}

class Joining {
  readonly granted: Promise<PairingResult>;
  readonly #stream: PairingStream;
  readonly #initiator: PairingInitiator;
  readonly #onPending: (timeoutMs: number) => void;
  readonly #ended: Promise<void>;
  #grant: (result: PairingResult) => void = () => undefined;
  #reject: (reason: unknown) => void = () => undefined;
  #end: () => void = () => undefined;
  #turn: Promise<void> = Promise.resolve();

  constructor(stream: PairingStream, initiator: PairingInitiator, onPending: (timeoutMs: number) => void) {
    this.#stream = stream;
    this.#initiator = initiator;
    this.#onPending = onPending;
    this.granted = new Promise((resolve, reject) => {
      this.#grant = resolve;
      this.#reject = reject;
    });
    this.#ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    stream.attach({
      data: (bytes, fin) => this.#data(copyOf(bytes), fin),
      drain: () => undefined,
      closed: (error) => this.fail(error ?? linkLost()),
    });
    stream.write(initiator.start(), false);
  }

  fail(reason: unknown): void {
    // After what has arrived was looked at: a refusal says more than the closing that follows it.
    this.#turn = this.#turn.then(() => {
      this.#reject(reason);
      this.#end();
    });
  }

  async acknowledge(signal: AbortSignal): Promise<void> {
    this.#stream.write(this.#initiator.acknowledge(), true);
    if (signal.aborted) return;
    signal.addEventListener("abort", this.#end, { once: true });
    await this.#ended;
    signal.removeEventListener("abort", this.#end);
  }

  #data(bytes: Uint8Array, fin: boolean): void {
    this.#turn = this.#turn.then(() => {
      if (this.#initiator.result !== undefined) return;
      const output = this.#initiator.receive(bytes);
      if (output.failure !== undefined) this.#reject(output.failure);
      else if (output.bytes.length > 0) this.#stream.write(output.bytes, false);
      if (output.pendingMs !== undefined) this.#onPending(output.pendingMs);
      if (this.#initiator.result !== undefined) this.#grant(this.#initiator.result);
    });
    if (fin) this.fail(linkLost());
  }
}

function hanging(): GatehouseError {
  return new GatehouseError("quic.timed-out", "the gatehouse did not go on with pairing");
}

function linkLost(): GatehouseError {
  return new GatehouseError("quic.closed", "the connection ended in the middle of pairing", {
    hint: "try again",
  });
}

/** Transports lend Buffers, whose own `slice` is a view. */
function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}
