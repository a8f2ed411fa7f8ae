import { GatehouseError } from "../../src/core/index.ts";
import type { CallStream, StreamSink } from "../../src/rpc/index.ts";

export interface MemoryWireOptions {
  /** Cuts what was written into what is delivered; default: as written. */
  readonly split?: (bytes: Uint8Array) => readonly Uint8Array[];
  /** Bytes on the way above which `write` answers false. */
  readonly highWaterBytes?: number;
}

/** One byte at a time. */
export const byteByByte = (bytes: Uint8Array): readonly Uint8Array[] =>
  Array.from(bytes, (byte) => Uint8Array.of(byte));

interface Delivery {
  readonly bytes: Uint8Array;
  readonly fin: boolean;
}

/** One end of a stream whose other end is in the same process. */
export class MemoryStream implements CallStream {
  readonly isEarlyData: boolean;
  peer: MemoryStream | undefined;
  /** Everything this end wrote, and what became of it: for assertions. */
  readonly written: Uint8Array[] = [];
  hasFinished = false;
  resetCode: number | undefined;
  readonly #options: MemoryWireOptions;
  readonly #inbox: Delivery[] = [];
  #sink: StreamSink | undefined;
  #isPaused = false;
  #isOver = false;
  #isScheduled = false;
  #isFull = false;

  constructor(options: MemoryWireOptions, isEarlyData = false) {
    this.#options = options;
    this.isEarlyData = isEarlyData;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get bytesWaiting(): number {
    return this.#inbox.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  attach(sink: StreamSink): void {
    if (this.#sink !== undefined) throw new TypeError("MemoryStream: attached twice");
    this.#sink = sink;
    this.#schedule();
  }

  write(bytes: Uint8Array, fin: boolean): boolean {
    if (this.hasFinished) throw new TypeError("MemoryStream: write after fin");
    if (this.#isOver) return false;
    this.written.push(bytes);
    this.hasFinished = fin;
    this.peer?.accept(bytes, fin);
    this.#isFull = (this.peer?.bytesWaiting ?? 0) > (this.#options.highWaterBytes ?? 262_144);
    return !this.#isFull;
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#schedule();
  }

  reset(code: number): void {
    this.resetCode = code;
    this.#isOver = true;
    const peer = this.peer;
    queueMicrotask(() => peer?.drop(undefined));
  }

  /** The connection is gone. */
  drop(error: GatehouseError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#sink?.closed(error);
  }

  accept(bytes: Uint8Array, fin: boolean): void {
    const chunks = bytes.length === 0 ? [] : (this.#options.split ?? ((all) => [all]))(bytes);
    for (const chunk of chunks) this.#inbox.push({ bytes: chunk.slice(), fin: false });
    const last = this.#inbox.at(-1);
    if (fin && last !== undefined) this.#inbox[this.#inbox.length - 1] = { ...last, fin };
    else if (fin) this.#inbox.push({ bytes: new Uint8Array(), fin });
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => this.#deliver());
  }

  #deliver(): void {
    this.#isScheduled = false;
    while (!this.#isPaused && !this.#isOver && this.#sink !== undefined) {
      const next = this.#inbox.shift();
      if (next === undefined) break;
      this.#sink.data(next.bytes, next.fin);
      // The reader had it on loan.
      next.bytes.fill(0xaa);
    }
    this.peer?.relieve(this.bytesWaiting);
  }

  relieve(bytesWaiting: number): void {
    if (!this.#isFull || bytesWaiting > (this.#options.highWaterBytes ?? 262_144) / 2) return;
    this.#isFull = false;
    if (!this.#isOver) this.#sink?.drain();
  }
}

/** Two ends of one stream: what one writes the other reads, some microtasks later. */
export function memoryStreams(options: MemoryWireOptions = {}, isEarlyData = false) {
  const near = new MemoryStream(options);
  const far = new MemoryStream(options, isEarlyData);
  near.peer = far;
  far.peer = near;
  return { near, far };
}

export function connectionLost(): GatehouseError {
  return new GatehouseError("quic.closed", "the connection is gone");
}

/** Lets everything that microtasks and immediates can do happen. */
export async function settled(turns = 5): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
