import type { Clock } from "../core/index.ts";
import type { SocketAddress } from "./address.ts";
import type { ConnectionIds } from "./connection-ids.ts";
import type { NativeConnection } from "./native.ts";
import type { DatagramSocket } from "./network.ts";
import type { PathRate } from "./pacer.ts";
import type { LeftPath, PacketWriter } from "./packet-writer.ts";

/** When a path that was left is probed: at once, and again in case the probe is lost. */
const LEFT_PROBES_MS = [0, 60, 250, 1_000] as const;
const LEFT_KEPT_MS = 10_000;
const LEFT_MAX = 16;

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
  #remote: SocketAddress;
  #count = 1;
  #moves = 0;
  /** Paths that were in use lately, the newest last. */
  #left: (LeftPath & { readonly atMs: number })[] = [];
  readonly #probes = new Set<Disposable>();

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
    this.#probe(socket.address, this.#remote);
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
      if (event.type === "New") this.#count += 1;
      else if (event.type === "PeerMigrated") this.#moved();
      else if (event.type === "Validated" && event.local !== undefined) this.#validated(event.local);
    }
    this.#options.ids.drainRetired();
  }

  /** What was lost on paths that were left is asked for by the one in use. With every flush. */
  flushLeft(): void {
    if (this.#left.length === 0) return;
    const nowMs = this.#options.clock.monotonicMs();
    this.#left = this.#left.filter(({ atMs }) => nowMs - atMs < LEFT_KEPT_MS);
    const { local } = this;
    if (local === undefined) return;
    for (const path of this.#left) this.#options.writer.flushLeft(path, this.#remote, local);
  }

  [Symbol.dispose](): void {
    for (const probe of this.#probes) probe[Symbol.dispose]();
    this.#probes.clear();
  }

  #leave(path: LeftPath): void {
    const { clock } = this.#options;
    this.#left.push({ ...path, atMs: clock.monotonicMs() });
    if (this.#left.length > LEFT_MAX) this.#left.shift();
    for (const delayMs of LEFT_PROBES_MS) {
      const probe = clock.setTimer(delayMs, () => {
        this.#probes.delete(probe);
        this.#probe(path.local, path.remote);
      });
      this.#probes.add(probe);
    }
  }

  #probe(local: SocketAddress, remote: SocketAddress): void {
    try {
      this.#native.probePath(local, remote);
    } catch {
      // The library has let go of the path, or the connection is closing.
    }
    this.#options.schedule();
  }

  #moved(): void {
    this.#moves += 1;
    const active = this.#native.pathStats().find((path) => path.active);
    if (active === undefined) return;
    this.#leave({ local: active.localHost, remote: this.#remote });
    this.#remote = active.peerHost;
  }

  #validated(local: SocketAddress): void {
    for (const watch of this.#watches) {
      if (watch.local.port !== local.port || watch.local.host !== local.host) continue;
      this.#watches.delete(watch);
      watch.validated();
    }
  }

  #migrate(to: SocketAddress): void {
    const { local } = this;
    this.#native.migrate(to, this.#remote);
    if (local !== undefined) this.#leave({ local, remote: this.#remote });
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

function isPathEvent(value: unknown): value is { readonly type: string; readonly local?: SocketAddress } {
  return typeof value === "object" && value !== null && "type" in value;
}
