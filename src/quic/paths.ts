import type { Clock } from "../core/index.ts";
import { formatAddress, type SocketAddress } from "./address.ts";
import type { ConnectionIds } from "./connection-ids.ts";
import { LeftPaths, type PathEnds } from "./left-paths.ts";
import type { NativeConnection } from "./native.ts";
import type { DatagramSocket } from "./network.ts";
import type { PathRate } from "./pacer.ts";
import type { PacketWriter } from "./packet-writer.ts";

/** As many as there can be paths. */
const PROVEN_MAX = 64;

/** Waits for the news of one path. */
interface Watch {
  readonly local: SocketAddress;
  readonly validated: () => void;
}

export interface PathsOptions {
  readonly native: NativeConnection;
  readonly ids: ConnectionIds;
  readonly writer: PacketWriter;
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  readonly clock: Clock;
  /** Asks for a flush of the connection. */
  readonly schedule: () => void;
}

/**
 * The paths of one connection (RFC 9000 §9), as the library tells of them. Its queue of events has no bound of its own, so
 * it has to be drained.
 */
export class Paths implements Disposable {
  readonly #options: PathsOptions;
  readonly #native: NativeConnection;
  readonly #watches = new Set<Watch>();
  readonly #left: LeftPaths;
  /** Addresses of the peer that it has shown to receive at. */
  readonly #proven: Set<string>;
  #remote: SocketAddress;
  /** The path in use; undefined when the library has to be asked, which costs as much as all its paths together. */
  #current: PathEnds | undefined;
  #count = 1;
  #moves = 0;

  constructor(options: PathsOptions) {
    this.#options = options;
    this.#native = options.native;
    this.#remote = options.remote;
    this.#proven = new Set([formatAddress(options.remote)]);
    this.#current = { local: options.local, remote: options.remote };
    this.#left = new LeftPaths(options, this.#current);
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
    // The new path takes one of ours, and those in stock may be gone: the peer takes one for each address it has seen.
    this.#options.ids.issueOne();
    try {
      if (mode === "at-once") this.#migrate(address);
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
    // The declared type leaves out the `null` that ends the queue.
    for (
      let event: unknown = this.#native.pathEventNext();
      isPathEvent(event);
      event = this.#native.pathEventNext()
    ) {
      if (event.type === "New") this.#opened(event);
      else if (event.type === "PeerMigrated") this.#moved(event);
      else if (event.type === "Validated") this.#validated(event);
      else if (GIVEN_UP.has(event.type)) this.#current = undefined;
    }
    this.#options.ids.drainRetired();
  }

  /** Writes what there is for paths that were left. With every flush of the connection. */
  flushLeft(): void {
    this.#left.flush(() => {
      const active = this.#active();
      // Whoever forges a new address for itself must not have probes sent there: they wait until it is validated.
      return active !== undefined && this.#proven.has(formatAddress(active.remote)) ? active : undefined;
    });
  }

  /** The library's timers have run. */
  timerFired(): void {
    this.#left.timerFired();
  }

  [Symbol.dispose](): void {
    this.#left[Symbol.dispose]();
  }

  #active(): PathEnds | undefined {
    if (this.#current !== undefined) return this.#current;
    const active = this.#native.pathStats().find((path) => path.active);
    this.#current = active === undefined ? undefined : { local: active.localHost, remote: active.peerHost };
    return this.#current;
  }

  #opened({ local, peer }: PathEvent): void {
    this.#count += 1;
    if (local !== undefined && peer !== undefined) this.#left.seen({ local, remote: peer });
  }

  #moved({ local, peer }: PathEvent): void {
    this.#moves += 1;
    this.#current = local === undefined || peer === undefined ? undefined : { local, remote: peer };
    const active = this.#active();
    if (active === undefined) return;
    this.#remote = active.remote;
    this.#left.movedTo(active);
  }

  #validated({ local, peer }: PathEvent): void {
    if (peer !== undefined && this.#proven.size < PROVEN_MAX) this.#proven.add(formatAddress(peer));
    if (local === undefined) return;
    for (const watch of this.#watches) {
      if (watch.local.port !== local.port || watch.local.host !== local.host) continue;
      this.#watches.delete(watch);
      watch.validated();
    }
  }

  #migrate(to: SocketAddress): void {
    const ends = { local: to, remote: this.#remote };
    this.#native.migrate(to, this.#remote);
    this.#current = ends;
    this.#left.seen(ends);
    this.#left.movedTo(ends);
  }

  #switchTo(local: SocketAddress, moved: () => void): void {
    try {
      this.#migrate(local);
      moved();
      this.#options.schedule();
    } catch {
      // The connection is closing: whoever waits hears of that.
    }
  }
}

/** The library may have gone back to another path. */
const GIVEN_UP: ReadonlySet<string> = new Set(["FailedValidation", "Closed"]);

interface PathEvent {
  readonly type: string;
  readonly local?: SocketAddress;
  readonly peer?: SocketAddress;
}

function isPathEvent(value: unknown): value is PathEvent {
  return typeof value === "object" && value !== null && "type" in value;
}
