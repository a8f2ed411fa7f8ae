import { GatehouseError, LIMITS, type Logger } from "../core/index.ts";
import { STREAM_CODES } from "./close-codes.ts";
import type { NativeConnection } from "./native.ts";

/** What a stream tells its reader. Called synchronously in the transport's turn. */
export interface StreamSink {
  /** `bytes` is borrowed for the duration of the call. `fin`: the peer has said everything. */
  data(bytes: Uint8Array, fin: boolean): void;
  /** The bytes written so far have left our queue: write on. */
  drain(): void;
  /** The stream ended before its time: reset by the peer, or the connection is gone. The last call, and not always made. */
  closed(error: GatehouseError | undefined): void;
}

/** What a stream needs of its connection. */
export interface StreamHost {
  readonly native: NativeConnection;
  readonly logger: Logger;
  /** Read buffer shared by all streams: lent to one `data` call at a time. */
  readonly scratch: Buffer;
  /** What has been handed to the library is wiped: nobody will send it again. */
  readonly wipesSent: boolean;
  /** Bytes queued on all streams of the connection; kept by the streams. */
  queuedBytes: number;
  /** Bytes that came on all streams of the connection; kept by the streams. */
  deliveredBytes: number;
  /** The stream has something to write. */
  wantsFlush(stream: QuicStream): void;
  /** The stream may have something to read again. */
  wantsRead(stream: QuicStream): void;
  forget(stream: QuicStream): void;
}

/** quiche's `Shutdown`. */
const READ = 0;
const WRITE = 1;
const NOTHING = new Uint8Array(0);

type Half = "open" | "done";

/** One bidirectional stream (RFC 9000 §2): ordered bytes both ways, each way ended on its own. */
export class QuicStream {
  /** Undefined until the peer's stream credit allows it to open. */
  id: number | undefined;
  /** Its first bytes came as early data: they may be a replay (RFC 8446 §8). */
  readonly isEarlyData: boolean;
  /** It has been told to the library as bulk. Kept by the stream table. */
  isBulk = false;
  readonly #host: StreamHost;
  #sink: StreamSink | undefined;
  #receiving: Half = "open";
  #sending: Half = "open";
  #isPaused = false;
  #isDead = false;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #isFinQueued = false;
  #owesDrain = false;

  constructor(host: StreamHost, id: number | undefined, isEarlyData = false) {
    this.#host = host;
    this.id = id;
    this.isEarlyData = isEarlyData;
  }

  /** Installs the reader; once, before anything is delivered. */
  attach(sink: StreamSink): void {
    if (this.#sink !== undefined) throw new TypeError("QuicStream.attach: already has a sink");
    this.#sink = sink;
    if (this.id !== undefined) this.#host.wantsRead(this);
  }

  /**
   * Queues `bytes` (taken, not copied); `fin` ends our side.
   * False: more than `LIMITS.streamWriteHighWaterBytes` wait, or too much on all streams together; `drain` says when
   * to go on.
   */
  write(bytes: Uint8Array, fin: boolean): boolean {
    if (this.#isDead || this.#sending === "done" || this.#isFinQueued) return true;
    if (bytes.length > 0) this.#queue.push(bytes);
    this.#count(bytes.length);
    this.#isFinQueued = fin;
    this.#host.wantsFlush(this);
    const isLow =
      this.#queuedBytes < LIMITS.streamWriteHighWaterBytes &&
      this.#host.queuedBytes < LIMITS.connectionWriteHighWaterBytes;
    if (!isLow) this.#owesDrain = true;
    return isLow;
  }

  /** Stops delivery: the peer may send one window more, then waits. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    if (this.id !== undefined) this.#host.wantsRead(this);
  }

  /** Abandons both directions with an application code; the sink hears nothing more. */
  reset(code: number): void {
    if (this.#isDead) return;
    this.#abandon(code);
    this.#end();
  }

  get isPaused(): boolean {
    return this.#isPaused || this.#sink === undefined;
  }

  get wantsToRead(): boolean {
    return this.#receiving === "open" && !this.#isDead;
  }

  get hasToSend(): boolean {
    return !this.#isDead && this.#sending === "open" && (this.#queue.length > 0 || this.#isFinQueued);
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Delivers what has arrived. For the connection. */
  read(): void {
    const { id } = this;
    if (id === undefined) return;
    while (this.wantsToRead && !this.isPaused && this.#host.native.streamReadable(id)) {
      if (!this.#readOnce(id)) return;
    }
  }

  /** Hands queued bytes to the library as far as it takes them. For the connection. */
  flushWrites(): void {
    const { id } = this;
    if (id === undefined || !this.hasToSend) return;
    try {
      if (!this.#sendQueue(id)) return;
    } catch (failure) {
      this.#stopped(failure);
      return;
    }
    this.#drained();
    this.#settle();
  }

  /**
   * Notices that the peer reads no more (STOP_SENDING) while nothing is being written to it, or while what is written waits:
   * of a stream that it has forgotten meanwhile the library says no more than that it takes nothing now. For the connection.
   */
  lookForStop(): void {
    const { id } = this;
    if (id === undefined || this.#isDead || this.#receiving === "open") return;
    try {
      this.#host.native.streamCapacity(id);
    } catch (failure) {
      this.#stopped(failure);
    }
  }

  /** The connection is gone. For the connection. */
  connectionLost(error: GatehouseError): void {
    if (this.#isDead) return;
    this.#end();
    this.#guarded((sink) => sink.closed(error));
  }

  #readOnce(id: number): boolean {
    let chunk: [number, boolean] | null;
    try {
      chunk = this.#host.native.streamRecv(id, this.#host.scratch);
    } catch (failure) {
      this.#stopped(failure);
      return false;
    }
    if (chunk === null) return false;
    const [length, isLast] = chunk;
    this.#host.deliveredBytes += length;
    if (isLast) this.#receiving = "done";
    const bytes = this.#host.scratch.subarray(0, length);
    this.#guarded((sink) => sink.data(bytes, isLast));
    bytes.fill(0);
    if (isLast) this.#settle();
    return !isLast;
  }

  /** True when the queue is empty. */
  #sendQueue(id: number): boolean {
    for (let chunk = this.#queue[0]; chunk !== undefined; chunk = this.#queue[0]) {
      const isLast = this.#isFinQueued && this.#queue.length === 1;
      const taken = this.#host.native.streamSend(id, chunk, isLast) ?? 0;
      this.#count(-taken);
      if (this.#host.wipesSent) chunk.fill(0, 0, taken);
      if (taken < chunk.length) {
        this.#queue[0] = chunk.subarray(taken);
        return false;
      }
      this.#queue.shift();
      if (isLast) this.#sending = "done";
    }
    if (this.#isFinQueued && this.#sending === "open") {
      if (this.#host.native.streamSend(id, NOTHING, true) === null) return false;
      this.#sending = "done";
    }
    return true;
  }

  #count(bytes: number): void {
    this.#queuedBytes += bytes;
    this.#host.queuedBytes += bytes;
  }

  #drained(): void {
    if (!this.#owesDrain || this.#queuedBytes > 0) return;
    this.#owesDrain = false;
    this.#guarded((sink) => sink.drain());
  }

  /** RESET_STREAM or STOP_SENDING from the peer, or a stream the library has dropped. */
  #stopped(failure: unknown): void {
    const text = failure instanceof Error ? failure.message : "";
    this.#abandon(STREAM_CODES.cancelled);
    this.#end();
    const message = /^Stream(?:Reset|Stopped)\(/.test(text)
      ? "the peer cancelled the call"
      : "the stream broke off";
    this.#guarded((sink) => sink.closed(new GatehouseError("rpc.cancelled", message)));
  }

  #abandon(code: number): void {
    const { id } = this;
    if (id === undefined) return;
    if (this.#receiving === "open") this.#shutdown(id, READ, code);
    if (this.#sending === "open") this.#shutdown(id, WRITE, code);
    this.#host.wantsFlush(this);
  }

  #shutdown(id: number, direction: typeof READ | typeof WRITE, code: number): void {
    try {
      this.#host.native.streamShutdown(id, direction, code);
    } catch {
      // Already finished or never used: nothing is left to abandon.
    }
  }

  #settle(): void {
    if (this.#receiving === "done" && this.#sending === "done") this.#end();
  }

  #end(): void {
    this.#isDead = true;
    this.#queue = [];
    this.#count(-this.#queuedBytes);
    this.#host.forget(this);
  }

  /** A sink that throws costs its own call, never the connection. */
  #guarded(tell: (sink: StreamSink) => void): void {
    if (this.#sink === undefined) return;
    try {
      tell(this.#sink);
    } catch (failure) {
      this.#host.logger.error("stream-sink-failed", {
        error: failure instanceof Error ? failure.message : "unknown",
      });
      this.reset(STREAM_CODES.internal);
    }
  }
}
