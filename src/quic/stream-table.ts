import type { Clock, GatehouseError, Logger } from "../core/index.ts";
import type { NativeConnection } from "./native.ts";
import { QuicStream, type StreamHost } from "./stream.ts";

/** Streams that write no more than this go before bulk. */
const SMALL_WRITE_BYTES = 16_384;
/** The library sends lower urgencies first and shares in turn within one (RFC 9218 §4); 127 is where streams start. */
const BULK_URGENCY = 200;
/** Streams taken past one that has not come: seconds of calls behind a lost packet, never a hole left on purpose. */
const STREAMS_AHEAD_MAX = 16_384;

/** How long a cancelled call may go unnoticed that is neither sending nor being sent anything. */
const STOP_LOOK_MS = 50;

/** The server's first unidirectional stream (RFC 9000 §2.1). */
const SIGNAL_STREAM = 3;
/**
 * What a server tells its client on the signal stream, one byte each:
 * 0 `recycle`: this connection has been used long enough, open another one; 1 `going-away`: no new calls, please.
 */
const SIGNALS = ["recycle", "going-away"] as const;
export type Signal = (typeof SIGNALS)[number];

export type OnStream = (stream: QuicStream) => void;

export interface StreamTableOptions {
  readonly native: NativeConnection;
  readonly role: "client" | "server";
  readonly logger: Logger;
  readonly scratch: Buffer;
  readonly clock: Clock;
  /** Asks for a flush of the connection. */
  readonly schedule: () => void;
  /** The server has something to say of the connection. */
  readonly onSignal: (signal: Signal) => void;
  /** The peer uses streams in a way that would grow us: ends the connection. */
  readonly refuse: (reason: string) => void;
}

/** The streams of one connection: which there are, which may be read, which have something to send. */
export class StreamTable {
  readonly #options: StreamTableOptions;
  readonly #native: NativeConnection;
  readonly #host: StreamHost;
  readonly #live = new Map<number, QuicStream>();
  /** Streams of ours that wait for the peer's stream credit. */
  readonly #unopened: QuicStream[] = [];
  readonly #writers = new Set<QuicStream>();
  readonly #readers = new Set<QuicStream>();
  readonly #acceptedAhead = new Set<number>();
  #onStream: OnStream | undefined;
  #nextPeerStream: number;
  #nextOwnStream: number;
  #isEarlyData = false;
  #hasSignalled = false;
  #stopLook: Disposable | undefined;

  constructor(options: StreamTableOptions) {
    const { native, role, logger, scratch } = options;
    this.#options = options;
    this.#native = native;
    this.#nextPeerStream = role === "server" ? 0 : 1;
    this.#nextOwnStream = role === "server" ? 1 : 0;
    this.#host = {
      ...{ native, logger, scratch, queuedBytes: 0, deliveredBytes: 0 },
      // A client keeps its requests to repeat them.
      wipesSent: role === "server",
      wantsFlush: (stream) => this.#wantsFlush(stream),
      wantsRead: (stream) => this.#wantsRead(stream),
      forget: (stream) => this.#forget(stream),
    };
  }

  /** Alive, those that wait to be opened included. */
  get size(): number {
    return this.#live.size + this.#unopened.length;
  }

  /** Bytes that the peer has sent on streams and that were read. */
  get deliveredBytes(): number {
    return this.#host.deliveredBytes;
  }

  onStream(take: OnStream): void {
    this.#onStream = take;
  }

  /** A new stream of ours. */
  open(): QuicStream {
    const stream = new QuicStream(this.#host, undefined);
    this.#unopened.push(stream);
    return stream;
  }

  /** A stream of a connection that is gone: it ends as soon as its user can hear it. */
  openDead(error: GatehouseError): QuicStream {
    const stream = new QuicStream(this.#host, undefined);
    queueMicrotask(() => stream.connectionLost(error));
    return stream;
  }

  /** The connection is gone. */
  lost(error: GatehouseError): void {
    this.#stopLook?.[Symbol.dispose]();
    for (const stream of [...this.#live.values(), ...this.#unopened]) stream.connectionLost(error);
    this.#unopened.length = 0;
  }

  /** After a turn's datagrams: takes new streams and delivers what has arrived, be it as early data. */
  read(isEarlyData: boolean): void {
    if (this.#options.role === "server" && this.#live.size > 0) this.#lookForStopsSoon();
    if (!this.#native.isReadable()) return;
    this.#isEarlyData = isEarlyData;
    if (this.#options.role === "client") this.#readSignals();
    this.#acceptInOrder();
    for (const stream of this.#live.values()) {
      if (stream.wantsToRead && !stream.isPaused) stream.read();
    }
    if (this.#options.role === "server" && this.#native.isReadable()) this.#acceptOutOfOrder();
  }

  /** Tells the peer something about the connection; where it takes no such stream (RFC 9000 §4.6), nothing. */
  signal(signal: Signal): void {
    try {
      if (!this.#hasSignalled && this.#native.peerStreamsLeftUni() === 0) return;
      this.#native.streamSend(SIGNAL_STREAM, Uint8Array.of(SIGNALS.indexOf(signal)), false);
      this.#hasSignalled = true;
    } catch {
      // The connection is closing: what it had to say is said by that.
    }
  }

  #readSignals(): void {
    if (!this.#native.streamReadable(SIGNAL_STREAM)) return;
    try {
      const [length] = this.#native.streamRecv(SIGNAL_STREAM, this.#host.scratch) ?? [0];
      const signals = this.#host.scratch.subarray(0, length);
      for (const signal of SIGNALS)
        if (signals.includes(SIGNALS.indexOf(signal))) this.#options.onSignal(signal);
    } catch {
      // A signal stream that was reset says nothing.
    }
  }

  /** The library tells of a peer that reads no more only to who asks stream by stream: too dear for every turn. */
  #lookForStopsSoon(): void {
    this.#stopLook ??= this.#options.clock.setTimer(STOP_LOOK_MS, () => {
      this.#stopLook = undefined;
      for (const stream of this.#live.values()) stream.lookForStop();
    });
  }

  /** Asking for the next expected stream costs 0.1 µs; listing the readable ones 8 µs and garbage. */
  #acceptInOrder(): void {
    if (this.#options.role !== "server") return;
    for (;;) {
      if (this.#acceptedAhead.delete(this.#nextPeerStream)) {
        this.#nextPeerStream += 4;
        continue;
      }
      if (!this.#native.streamReadable(this.#nextPeerStream)) return;
      const id = this.#nextPeerStream;
      this.#nextPeerStream += 4;
      this.#accept(id);
    }
  }

  /** A lost or reordered packet let a later stream arrive before the next expected one. */
  #acceptOutOfOrder(): void {
    for (const id of this.#native.readable()) {
      if (id < this.#nextPeerStream || this.#live.has(id) || this.#acceptedAhead.has(id)) continue;
      if (this.#acceptedAhead.size >= STREAMS_AHEAD_MAX) {
        this.#options.refuse("a stream before thousands of others never came");
        return;
      }
      this.#acceptedAhead.add(id);
      this.#accept(id);
    }
  }

  #accept(id: number): void {
    const stream = new QuicStream(this.#host, id, this.#isEarlyData);
    this.#live.set(id, stream);
    if (this.#onStream === undefined) {
      stream.reset(0);
      return;
    }
    this.#onStream(stream);
    stream.read();
  }

  /** Opens what waited for credit, and hands over everything that is to be written, small before bulk. */
  flush(): void {
    this.#openWaiting();
    for (const stream of this.#readers) stream.read();
    this.#readers.clear();
    if (this.#writers.size === 0) return;
    const bulk: QuicStream[] = [];
    for (const stream of this.#writers) {
      if (stream.queuedBytes > SMALL_WRITE_BYTES) bulk.push(stream);
      else this.#flushOne(stream);
    }
    for (const stream of bulk) this.#flushBulk(stream);
  }

  /** What the library has taken already must give way to small calls that come later, too. */
  #flushBulk(stream: QuicStream): void {
    this.#flushOne(stream);
    if (stream.id === undefined || !stream.hasToSend) return;
    // Whoever took the window this time comes last the next time.
    this.#writers.delete(stream);
    this.#writers.add(stream);
    if (stream.isBulk) return;
    stream.isBulk = true;
    this.#native.streamPriority(stream.id, BULK_URGENCY, true);
  }

  #flushOne(stream: QuicStream): void {
    stream.flushWrites();
    if (!stream.hasToSend) this.#writers.delete(stream);
  }

  #openWaiting(): void {
    if (this.#unopened.length === 0) return;
    let left = this.#native.peerStreamsLeftBidi();
    while (left > 0) {
      const stream = this.#unopened.shift();
      if (stream === undefined) return;
      stream.id = this.#nextOwnStream;
      this.#nextOwnStream += 4;
      this.#live.set(stream.id, stream);
      if (stream.hasToSend) this.#writers.add(stream);
      // A stream counts against the credit only once something is sent on it: hand over its first bytes now.
      this.#flushOne(stream);
      left -= 1;
    }
  }

  #wantsFlush(stream: QuicStream): void {
    if (stream.hasToSend) this.#writers.add(stream);
    this.#options.schedule();
  }

  #wantsRead(stream: QuicStream): void {
    this.#readers.add(stream);
    this.#options.schedule();
  }

  #forget(stream: QuicStream): void {
    this.#writers.delete(stream);
    this.#readers.delete(stream);
    if (stream.id !== undefined) this.#live.delete(stream.id);
    else if (this.#unopened.includes(stream)) this.#unopened.splice(this.#unopened.indexOf(stream), 1);
  }
}
