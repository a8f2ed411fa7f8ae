/**
 * One turn per iteration of the event loop: datagrams collect while the socket is polled, are read together in the
 * check phase, and everything they caused is flushed once the turn's promises have run, so that a reply rides with
 * its acknowledgement. Measured beside a flush per datagram: four times the calls a second.
 */
import type { Logger } from "../core/index.ts";
import type { SocketAddress } from "./address.ts";
import type { DatagramSocket } from "./network.ts";

export interface Flushable {
  flush(): void;
}

export interface Arrival {
  readonly datagram: Buffer;
  readonly from: SocketAddress;
  readonly socket: DatagramSocket;
}

export interface TurnOptions<Connection extends Flushable> {
  readonly read: (arrivals: readonly Arrival[]) => void;
  /** Told whose flush comes next; undefined after the last. */
  readonly handling?: ((connection: Connection | undefined) => void) | undefined;
  readonly logger: Logger;
}

export class Turn<Connection extends Flushable> {
  readonly #options: TurnOptions<Connection>;
  #inbox: Arrival[] = [];
  #dirty = new Set<Connection>();
  #isFlushQueued = false;

  constructor(options: TurnOptions<Connection>) {
    this.#options = options;
  }

  /** Bounded by what the event loop reads from a socket in one poll (libuv: 32 datagrams). */
  arrived(datagram: Buffer, from: SocketAddress, socket: DatagramSocket): void {
    if (this.#inbox.length === 0) setImmediate(() => this.#turn());
    this.#inbox.push({ datagram, from, socket });
  }

  /** Asks for one flush of `connection` after the current turn's microtasks. */
  schedule(connection: Connection): void {
    this.#dirty.add(connection);
    if (this.#isFlushQueued) return;
    this.#isFlushQueued = true;
    queueMicrotask(() => process.nextTick(() => this.#flush()));
  }

  #turn(): void {
    const arrivals = this.#inbox;
    this.#inbox = [];
    this.#guarded(() => this.#options.read(arrivals));
  }

  #flush(): void {
    this.#isFlushQueued = false;
    const { handling } = this.#options;
    const dirty = this.#dirty;
    this.#dirty = new Set();
    for (const connection of dirty) {
      handling?.(connection);
      this.#guarded(() => connection.flush());
    }
    handling?.(undefined);
  }

  /** Nothing a datagram causes may end the loop: what is caught here is a bug of ours, logged and survived. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (failure) {
      this.#options.logger.error("quic-turn-failed", {
        error: failure instanceof Error ? failure.message : "unknown",
      });
    }
  }
}
