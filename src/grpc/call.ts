import { constants, type ServerHttp2Stream } from "node:http2";
import { GatehouseError, LIMITS } from "../core/index.ts";
import {
  type CallStream,
  type Close,
  closeOf,
  encodeOpen,
  FrameDecoder,
  type Open,
  RESET,
  type StreamSink,
} from "../rpc/index.ts";
import type { Backlog } from "./backlog.ts";
import { MessageReader, prefixed } from "./message-reader.ts";
import { trailersOf } from "./trailers.ts";

/** What a call asks of its connection. */
export interface CallHost {
  readonly backlog: Backlog;
  /** The call's bytes are handed over in `work`. */
  handle(work: () => void): void;
}

export const RESPONSE_HEAD = { ":status": 200, "content-type": "application/grpc+proto" } as const;

/** RST_STREAM codes (RFC 9113 §7) for the router's reasons; gRPC clients make a status of them. */
const RESET_CODES: ReadonlyMap<number, number> = new Map([
  [RESET.cancelled, constants.NGHTTP2_CANCEL],
  [RESET.internal, constants.NGHTTP2_INTERNAL_ERROR],
  [RESET.limit, constants.NGHTTP2_ENHANCE_YOUR_CALM],
  [RESET.deadline, constants.NGHTTP2_CANCEL],
  [RESET.protocol, constants.NGHTTP2_PROTOCOL_ERROR],
  [RESET.stalled, constants.NGHTTP2_CANCEL],
]);
const EMPTY = new Uint8Array();

/** One gRPC call as the router's stream of frames: what comes is framed, what goes is unframed, nothing is judged twice. */
export class GrpcCall implements CallStream {
  readonly #stream: ServerHttp2Stream;
  readonly #open: Open;
  readonly #host: CallHost;
  readonly #reader = new MessageReader();
  readonly #decoder = new FrameDecoder();
  #sink: StreamSink | undefined;
  #waitingBytes = 0;
  #isFull = false;
  #room: Disposable | undefined;
  #trailers: Record<string, string> | undefined;
  #hasPeerEnded = false;
  /** Our last word is said, or the stream is given up. */
  #isOver = false;

  constructor(stream: ServerHttp2Stream, open: Open, host: CallHost) {
    this.#stream = stream;
    this.#open = open;
    this.#host = host;
  }

  attach(sink: StreamSink): void {
    this.#sink = sink;
    this.#deliver(encodeOpen(this.#open), false);
    this.#stream.on("data", (chunk: Buffer) => this.#host.handle(() => this.#read(chunk)));
    this.#stream.on("end", () => this.#host.handle(() => this.#end()));
    this.#stream.on("close", () => this.#host.handle(() => this.#closed()));
  }

  write(bytes: Uint8Array, fin: boolean): boolean {
    if (this.#isOver) return false;
    let close: Close | undefined;
    this.#decoder.push(bytes);
    for (let frame = this.#decoder.next(); frame !== undefined; frame = this.#decoder.next()) {
      if (frame.kind === "message") this.#send(frame.bytes);
      else if (frame.kind === "close") close = frame.close;
    }
    this.#decoder.keep();
    // It is ours, and may have been a secret.
    bytes.fill(0);
    if (fin && close !== undefined) this.#finish(close);
    return !this.#fills();
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  reset(code: number): void {
    if (this.#stream.closed) return;
    this.#isOver = true;
    this.#stream.close(RESET_CODES.get(code) ?? constants.NGHTTP2_CANCEL);
  }

  /** Ends the call with `error` on both sides, whatever the router is doing. */
  refuse(error: GatehouseError): void {
    if (this.#isOver) return;
    this.#finish(closeOf(error));
    this.#sink?.closed(error);
  }

  /** Node throws at whoever answers then. */
  get #isGone(): boolean {
    return this.#stream.destroyed || this.#stream.closed;
  }

  #read(chunk: Buffer): void {
    if (this.#isOver) return;
    try {
      for (const frame of this.#reader.read(chunk)) {
        this.#deliver(frame, false);
        frame.fill(0);
      }
    } catch (failure) {
      this.#fail(failure);
    }
  }

  #end(): void {
    this.#hasPeerEnded = true;
    if (this.#isOver) return;
    if (this.#reader.isBetweenMessages) this.#deliver(EMPTY, true);
    else this.#fail(new GatehouseError("rpc.bad-frame", "the call ended inside a message"));
  }

  #fail(failure: unknown): void {
    this.refuse(
      failure instanceof GatehouseError
        ? failure
        : new GatehouseError("rpc.internal", "the gatehouse failed", { cause: failure }),
    );
  }

  #closed(): void {
    this.#isOver = true;
    this.#room?.[Symbol.dispose]();
    this.#sink?.closed(undefined);
  }

  #deliver(bytes: Uint8Array, fin: boolean): void {
    this.#sink?.data(bytes, fin);
  }

  /** Borrows `message`. */
  #send(message: Uint8Array): void {
    if (this.#isGone) return;
    if (!this.#stream.headersSent) {
      this.#stream.once("wantTrailers", () => {
        if (!this.#isGone) this.#stream.sendTrailers(this.#trailers ?? {});
      });
      this.#stream.respond(RESPONSE_HEAD, { waitForTrailers: true });
    }
    const bytes = prefixed(message);
    this.#waitingBytes += bytes.length;
    this.#host.backlog.add(bytes.length);
    this.#stream.write(bytes, () => {
      bytes.fill(0);
      this.#sent(bytes.length);
    });
  }

  #sent(bytes: number): void {
    this.#waitingBytes -= bytes;
    this.#host.backlog.remove(bytes);
    this.#relieve();
  }

  #fills(): boolean {
    const { backlog } = this.#host;
    this.#isFull = this.#waitingBytes > LIMITS.streamWriteHighWaterBytes || backlog.isFull;
    if (this.#isFull && backlog.isFull) this.#room ??= backlog.whenRoom(() => this.#relieve());
    return this.#isFull;
  }

  #relieve(): void {
    const { backlog } = this.#host;
    if (!this.#isFull || this.#waitingBytes > LIMITS.streamWriteHighWaterBytes / 2 || backlog.isFull) return;
    this.#isFull = false;
    this.#room?.[Symbol.dispose]();
    this.#room = undefined;
    if (!this.#stream.destroyed) this.#sink?.drain();
  }

  #finish(close: Close): void {
    this.#isOver = true;
    if (this.#isGone) return;
    this.#trailers = trailersOf(close);
    if (this.#stream.headersSent) this.#stream.end();
    else this.#stream.respond({ ...RESPONSE_HEAD, ...this.#trailers }, { endStream: true });
    this.#stopCaller();
  }

  /** What the caller still sends is wanted no more (RFC 9113 §8.1): NO_ERROR once our own side has gone out. */
  #stopCaller(): void {
    this.#stream.resume();
    if (this.#hasPeerEnded) return;
    const stop = (): void => {
      if (!this.#hasPeerEnded) this.#stream.close(constants.NGHTTP2_NO_ERROR);
    };
    if (this.#stream.writableFinished) setImmediate(stop);
    else this.#stream.once("finish", () => setImmediate(stop));
  }
}
