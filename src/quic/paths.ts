import type { SocketAddress } from "./address.ts";
import type { ConnectionIds } from "./connection-ids.ts";
import type { NativeConnection } from "./native.ts";
import type { DatagramSocket } from "./network.ts";
import type { PathRate } from "./pacer.ts";
import type { PacketWriter } from "./packet-writer.ts";

/** Waits for the news of one path. */
interface Watch {
  readonly local: SocketAddress;
  readonly validated: () => void;
}

export interface PathsOptions {
  readonly native: NativeConnection;
  readonly ids: ConnectionIds;
  readonly writer: PacketWriter;
  readonly remote: SocketAddress;
  /** Asks for a flush of the connection. */
  readonly schedule: () => void;
}

/**
 * The paths of one connection (RFC 9000 §9), as the library tells of them. Its queue of events has no bound of its own, so
 * it has to be drained.
 */
export class Paths {
  readonly #options: PathsOptions;
  readonly #native: NativeConnection;
  readonly #watches = new Set<Watch>();
  #remote: SocketAddress;
  #count = 1;
  #moves = 0;

  constructor(options: PathsOptions) {
    this.#options = options;
    this.#native = options.native;
    this.#remote = options.remote;
  }

  /** The peer's address on the path in use. */
  get remote(): SocketAddress {
    return this.#remote;
  }

  /** Paths that were ever used: the library keeps them all, up to its limit. */
  get count(): number {
    return this.#count;
  }

  /** How often the peer has come from another address. */
  get moves(): number {
    return this.#moves;
  }

  get rate(): PathRate | undefined {
    const active = this.#native.pathStats().find((path) => path.active);
    return active === undefined ? undefined : { congestionWindowBytes: active.cwnd, rttMs: active.rtt };
  }

  /** Where the packets of the path in use leave from. */
  get local(): SocketAddress | undefined {
    return this.#native.pathStats().find(({ active }) => active)?.localHost;
  }

  /** Whether packets leave, or left a moment ago, by `socket`. */
  uses(socket: DatagramSocket): boolean {
    return this.#options.writer.sockets.includes(socket);
  }

  /**
   * Clients: moves to the path from `socket` (RFC 9000 §9.2), which is the connection's from then on. `validated` tries the
   * path first and leaves the old one only when it works; `at-once` is for when the old one is dead. False: the library has
   * no connection id or no place for one more path, and `socket` stays the caller's.
   */
  startMove(socket: DatagramSocket, mode: "validated" | "at-once", moved: () => void): boolean {
    const { address } = socket;
    try {
      if (mode === "at-once") this.#native.migrate(address, this.#remote);
      else this.#native.probePath(address, this.#remote);
    } catch {
      return false;
    }
    this.#options.writer.addSocket(socket);
    this.#count += 1;
    if (mode === "at-once") moved();
    else this.#watches.add({ local: address, validated: () => this.#switchTo(address, moved) });
    this.#options.schedule();
    return true;
  }

  /** Challenges a path that is being tried once more: the library waits long for a lost challenge. */
  probeAgain(socket: DatagramSocket): void {
    try {
      this.#native.probePath(socket.address, this.#remote);
    } catch {
      // The path is validated, or given up.
    }
    this.#options.schedule();
  }

  /** A path that was left, or did not work: its socket is the caller's again. */
  drop(socket: DatagramSocket): void {
    this.#options.writer.removeSocket(socket);
  }

  drain(): void {
    // A new path and a reused id come in one pair: the path was reached without taking an id from the stock.
    let reused = 0;
    let opened = 0;
    // The declared type leaves out the `null` that ends the queue.
    for (
      let event: unknown = this.#native.pathEventNext();
      isPathEvent(event);
      event = this.#native.pathEventNext()
    ) {
      if (event.type === "New") opened += 1;
      else if (event.type === "ReusedSourceConnectionId") reused += 1;
      else if (event.type === "PeerMigrated") this.#moved();
      else if (event.type === "Validated" && event.local !== undefined) this.#validated(event.local);
    }
    this.#count += opened;
    for (let used = reused; used < opened; used += 1) this.#options.ids.usedOne();
    this.#options.ids.drainRetired();
    if (opened > reused) this.#options.ids.refill();
  }

  #moved(): void {
    this.#moves += 1;
    this.#remote = this.#native.pathStats().find(({ active }) => active)?.peerHost ?? this.#remote;
  }

  #validated(local: SocketAddress): void {
    for (const watch of this.#watches) {
      if (watch.local.port !== local.port || watch.local.host !== local.host) continue;
      this.#watches.delete(watch);
      watch.validated();
    }
  }

  #switchTo(local: SocketAddress, moved: () => void): void {
    try {
      this.#native.migrate(local, this.#remote);
      moved();
      this.#options.schedule();
    } catch {
      // The connection is closing: whoever waits hears of that.
    }
  }
}

function isPathEvent(value: unknown): value is { readonly type: string; readonly local?: SocketAddress } {
  return typeof value === "object" && value !== null && "type" in value;
}
