import type { TLSSocket } from "node:tls";
import { LIMITS } from "../core/index.ts";
import type { StreamSink } from "../rpc/index.ts";

const NOTHING = new Uint8Array(0);

/** All that a TLS connection carries, as one stream of bytes: what pairing runs over on this wire. */
export class SocketStream {
  readonly #socket: TLSSocket;
  #first: Uint8Array | undefined;
  #sink: StreamSink | undefined;
  #hasFinished = false;
  #isOver = false;
  #lateBytes = 0;

  /** `socket`: TLS is through, and it has a listener for `error`. `first`: what was read from it already; it is paused then. */
  constructor(socket: TLSSocket, first?: Uint8Array) {
    this.#socket = socket;
    this.#first = first;
  }

  /** Installs the reader; once, before anything is delivered. */
  attach(sink: StreamSink): void {
    if (this.#sink !== undefined) throw new TypeError("SocketStream.attach: already has a sink");
    this.#sink = sink;
    const socket = this.#socket;
    socket.on("data", (bytes: Buffer) => this.#data(bytes));
    socket.once("end", () => this.#ended());
    socket.on("drain", () => sink.drain());
    socket.once("close", () => this.lose());
    if (socket.closed) queueMicrotask(() => this.lose());
    socket.resume();
    if (this.#first !== undefined) this.#data(this.#first);
    this.#first = undefined;
  }

  /** Taken, not copied. `fin` ends our side, after which what the peer says is dropped. False: wait for `drain`. */
  write(bytes: Uint8Array, fin: boolean): boolean {
    const socket = this.#socket;
    if (!socket.writable) return true;
    const isLow = bytes.length === 0 || socket.write(bytes);
    if (!fin) return isLow;
    this.#hasFinished = true;
    socket.end();
    socket.resume();
    return isLow;
  }

  /** Stops delivery: what the peer sends from now on waits in TCP's own buffers, and then at the peer. */
  pause(): void {
    if (!this.#isDropping) this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Ends the connection under it, without a word. */
  reset(): void {
    this.#isOver = true;
    this.#socket.destroy();
  }

  /** The reader hears now that the connection is lost, and nothing more; what was written still leaves. */
  lose(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#sink?.closed(undefined);
  }

  get #isDropping(): boolean {
    return this.#hasFinished || this.#isOver;
  }

  #data(bytes: Uint8Array): void {
    if (!this.#isDropping) {
      this.#sink?.data(bytes, false);
      return;
    }
    // Read, so that closing does not reset the connection and take our last words with it; but not for ever.
    this.#lateBytes += bytes.length;
    if (this.#lateBytes > LIMITS.pairingMessageBytes) this.#socket.destroy();
  }

  #ended(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#sink?.data(NOTHING, true);
  }
}
