import type { SocketAddress } from "./address.ts";
import type { ConnectionIds } from "./connection-ids.ts";
import type { NativeConnection } from "./native.ts";
import type { PathRate } from "./pacer.ts";

/** Waits for the news of one path. */
interface Watch {
  readonly local: SocketAddress;
  readonly validated: () => void;
}

/**
 * The paths of one connection (RFC 9000 §9), as the library tells of them. Its queue of events has no bound of its own, so
 * it has to be drained.
 */
export class Paths {
  readonly #native: NativeConnection;
  readonly #ids: ConnectionIds;
  readonly #watches = new Set<Watch>();
  #remote: SocketAddress;
  #count = 1;
  #moves = 0;

  constructor(native: NativeConnection, ids: ConnectionIds, remote: SocketAddress) {
    this.#native = native;
    this.#ids = ids;
    this.#remote = remote;
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

  /** Hears once that the path from `local` works both ways. */
  onValidated(local: SocketAddress, validated: () => void): Disposable {
    const watch = { local, validated };
    this.#watches.add(watch);
    return { [Symbol.dispose]: () => void this.#watches.delete(watch) };
  }

  /** This side has begun to use one more. */
  added(): void {
    this.#count += 1;
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
    for (let used = reused; used < opened; used += 1) this.#ids.usedOne();
    this.#ids.drainRetired();
    if (opened > reused) this.#ids.refill();
  }

  #moved(): void {
    this.#moves += 1;
    this.#remote = this.#native.pathStats().find(({ active }) => active)?.peerHost ?? this.#remote;
  }

  #validated(local: SocketAddress): void {
    for (const watch of this.#watches) {
      if (watch.local.port === local.port && watch.local.host === local.host) watch.validated();
    }
  }
}

function isPathEvent(value: unknown): value is { readonly type: string; readonly local?: SocketAddress } {
  return typeof value === "object" && value !== null && "type" in value;
}
