import { type Clock, GatehouseError, LIMITS, type Random } from "../core/index.ts";
import type { Codec, MethodDefinition } from "../gen/index.ts";
import { ClientCall, type MayRepeat, type PendingCall, type Receiver } from "./client-call.ts";
import { Deadlines } from "./deadlines.ts";
import { badFrame, type Open, REQUEST_ID_BYTES } from "./frame.ts";
import { encodeCall, encodeMessage, encodeOpen } from "./frame-encoder.ts";
import { MessageStream } from "./message-stream.ts";
import { type Awaitable, decodeMessage } from "./route.ts";
import { type CallStream, RESET } from "./stream.ts";

/** Opens the stream of one call; may wait for the peer's permission to open one more, or for a connection. */
export type OpenStream = (call: PendingCall) => Awaitable<CallStream>;

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Default `LIMITS.callTimeoutMs`, at most `LIMITS.callTimeoutMaxMs`. */
  readonly timeoutMs?: number;
  /** 16 bytes; a fresh one unless the call repeats an earlier one. */
  readonly requestId?: Uint8Array;
  /** W3C Trace Context. */
  readonly traceparent?: string;
  /**
   * `when-safe`, the default: what ended a unary call without its having been carried out, or whose repetition the
   * gatehouse knows by its request id, is not told before the call was sent again, as `Client.call` says.
   * `never`: each call goes out once, after the handshake, and whatever ends it is told.
   */
  readonly retry?: "when-safe" | "never";
}

export interface CallerOptions {
  readonly clock: Clock;
  readonly random: Random;
}

const RANDOM_BATCH_BYTES = 256 * REQUEST_ID_BYTES;
const EMPTY = new Uint8Array();

/**
 * Makes calls on whatever streams it is given.
 *
 * Every call ends with what the gatehouse's close says, or with `rpc.deadline`, `rpc.cancelled` (the signal's
 * reason as its cause), `rpc.bad-frame`, `rpc.bad-message`, `rpc.too-large`, or what the stream ended with.
 */
export class Caller implements Disposable {
  readonly #deadlines: Deadlines;
  readonly #random: Random;
  #ids: Uint8Array = EMPTY;

  constructor({ clock, random }: CallerOptions) {
    this.#deadlines = new Deadlines(clock);
    this.#random = random;
  }

  /**
   * One request, one response. The call is sent again under the same request id, within its time, when `mayRepeat` says
   * so of what ended it; without it, or with `retry: "never"`, never.
   * @throws GatehouseError whatever ended the call.
   */
  unary<RequestFields, Request, ResponseFields, Response>(
    openStream: OpenStream,
    method: MethodDefinition<"unary", RequestFields, Request, ResponseFields, Response>,
    request: RequestFields,
    options: CallOptions = {},
    mayRepeat?: MayRepeat,
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const call = this.#call(new SingleAnswer(method.response, resolve, reject), options);
      this.#sendOne(call, openStream, method, request, options, mayRepeat);
    });
  }

  /**
   * One request, a stream of responses; the request is sent at once. Leaving the loop cancels the call.
   * The iterator throws what ended the call.
   */
  serverStream<RequestFields, Request, ResponseFields, Response>(
    openStream: OpenStream,
    method: MethodDefinition<"server", RequestFields, Request, ResponseFields, Response>,
    request: RequestFields,
    options: CallOptions = {},
  ): AsyncIterableIterator<Response, undefined> {
    const { call, answers } = this.#streamingCall(method.response, options);
    this.#sendOne(call, openStream, method, request, options);
    return answers;
  }

  /** A stream of requests, one response. What `requests` throws cancels the call and is its failure's cause. */
  clientStream<RequestFields, Request, ResponseFields, Response>(
    openStream: OpenStream,
    method: MethodDefinition<"client", RequestFields, Request, ResponseFields, Response>,
    requests: AsyncIterable<RequestFields>,
    options: CallOptions = {},
  ): Promise<Response> {
    return new Promise((resolve, reject) => {
      const call = this.#call(new SingleAnswer(method.response, resolve, reject), options);
      void this.#sendMany(call, openStream, method, requests, options);
    });
  }

  bidiStream<RequestFields, Request, ResponseFields, Response>(
    openStream: OpenStream,
    method: MethodDefinition<"bidi", RequestFields, Request, ResponseFields, Response>,
    requests: AsyncIterable<RequestFields>,
    options: CallOptions = {},
  ): AsyncIterableIterator<Response, undefined> {
    const { call, answers } = this.#streamingCall(method.response, options);
    void this.#sendMany(call, openStream, method, requests, options);
    return answers;
  }

  [Symbol.dispose](): void {
    this.#deadlines[Symbol.dispose]();
  }

  #call(receiver: Receiver, options: CallOptions): ClientCall {
    const call = new ClientCall(this.#deadlines, receiver);
    call.limit(this.#deadlines.nowMs() + timeoutOf(options), options.signal);
    return call;
  }

  #streamingCall<Fields, Message>(codec: Codec<Fields, Message>, options: CallOptions) {
    const answers = new MessageStream<Message>({
      demand: () => call.demand(),
      abandon: () => call.cancel(),
    });
    const call = this.#call(new StreamedAnswers(codec, answers), options);
    return { call, answers };
  }

  #sendOne<RequestFields>(
    call: ClientCall,
    openStream: OpenStream,
    method: { readonly path: string; readonly request: Codec<RequestFields, unknown> },
    request: RequestFields,
    options: CallOptions,
    mayRepeat?: MayRepeat,
  ): void {
    try {
      const bytes = method.request.encode(request).finish();
      encodeCallFits(bytes);
      if (call.isOver) return;
      const open = this.#open(method, options);
      const send = (): void => this.#attempt(call, openStream, open, bytes);
      if (mayRepeat !== undefined && options.retry !== "never") call.repeatable({ mayRepeat, send });
      send();
    } catch (failure) {
      call.fail(failure, RESET.internal);
    }
  }

  #attempt(call: ClientCall, openStream: OpenStream, open: Open, bytes: Uint8Array): void {
    if (call.isOver) return;
    const { attempts } = call;
    const use = (stream: CallStream): void => {
      if (call.attempts !== attempts) stream.reset(RESET.cancelled);
      else if (call.use(stream)) call.sendNow(encodeCall(this.#timed(open, call), bytes), true);
    };
    try {
      const stream = openStream(call);
      if (stream instanceof Promise) stream.then(use).catch((failure) => call.fail(failure, RESET.internal));
      else use(stream);
    } catch (failure) {
      call.fail(failure, RESET.internal);
    }
  }

  /** What the first attempt grants is what the caller said; a later one, what is left of it. */
  #timed(open: Open, { attempts, deadlineMs }: ClientCall): Open {
    if (attempts === 1) return open;
    return { ...open, timeoutMs: Math.max(1, Math.ceil(deadlineMs - this.#deadlines.nowMs())) };
  }

  async #sendMany<RequestFields>(
    call: ClientCall,
    openStream: OpenStream,
    method: { readonly path: string; readonly request: Codec<RequestFields, unknown> },
    requests: AsyncIterable<RequestFields>,
    options: CallOptions,
  ): Promise<void> {
    try {
      if (call.isOver || !call.use(await openStream(call))) return;
      if (!(await call.send(encodeOpen(this.#open(method, options)), false))) return;
      for await (const request of requests) {
        if (!(await call.send(encodeMessage(method.request.encode(request).finish()), false))) return;
      }
      call.sendNow(EMPTY, true);
    } catch (failure) {
      call.fail(failure, RESET.cancelled);
    }
  }

  #open(method: { readonly path: string }, options: CallOptions): Open {
    return {
      method: method.path,
      timeoutMs: Math.ceil(timeoutOf(options)),
      requestId: options.requestId ?? this.#requestId(),
      traceparent: options.traceparent ?? "",
    };
  }

  /** From a batch: sixteen bytes at a time cost a microsecond each time. */
  #requestId(): Uint8Array {
    if (this.#ids.length < REQUEST_ID_BYTES) this.#ids = this.#random.bytes(RANDOM_BATCH_BYTES);
    const id = this.#ids.subarray(0, REQUEST_ID_BYTES);
    this.#ids = this.#ids.subarray(REQUEST_ID_BYTES);
    return id;
  }
}

class SingleAnswer<Fields, Message> implements Receiver {
  readonly isWanting = true;
  readonly #codec: Codec<Fields, Message>;
  readonly #resolve: (answer: Message) => void;
  readonly #reject: (error: GatehouseError) => void;
  #answer: { readonly message: Message } | undefined;

  constructor(
    codec: Codec<Fields, Message>,
    resolve: (answer: Message) => void,
    reject: (error: GatehouseError) => void,
  ) {
    this.#codec = codec;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  restart(): void {
    this.#answer = undefined;
  }

  deliver(message: Uint8Array): void {
    if (this.#answer !== undefined) throw badFrame("the gatehouse answered twice");
    this.#answer = { message: decodeMessage(this.#codec, new Uint8Array(message)) };
  }

  end(error: GatehouseError | undefined): void {
    if (error !== undefined) this.#reject(error);
    else if (this.#answer === undefined)
      this.#reject(badFrame("the gatehouse closed the call without an answer"));
    else this.#resolve(this.#answer.message);
  }
}

class StreamedAnswers<Fields, Message> implements Receiver {
  readonly #codec: Codec<Fields, Message>;
  readonly #answers: MessageStream<Message>;

  constructor(codec: Codec<Fields, Message>, answers: MessageStream<Message>) {
    this.#codec = codec;
    this.#answers = answers;
  }

  get isWanting(): boolean {
    return this.#answers.isWanting;
  }

  deliver(message: Uint8Array): void {
    this.#answers.deliver(decodeMessage(this.#codec, new Uint8Array(message)));
  }

  end(error: GatehouseError | undefined): void {
    this.#answers.finish(error);
  }
}

function timeoutOf({ timeoutMs = LIMITS.callTimeoutMs }: CallOptions): number {
  if (!(timeoutMs > 0)) throw new RangeError(`Caller: timeoutMs must be above 0, not ${timeoutMs}`);
  return Math.min(timeoutMs, LIMITS.callTimeoutMaxMs);
}

function encodeCallFits(request: Uint8Array): void {
  if (request.length <= LIMITS.messageBytes) return;
  throw new GatehouseError("rpc.too-large", `a message is larger than ${LIMITS.messageBytes} bytes`);
}
