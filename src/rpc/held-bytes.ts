import { LIMITS } from "../core/index.ts";

/** Less than this a call holds freely: the number of calls bounds it. */
const FREE_BYTES = 16_384;

export interface HeldBytesLimits {
  readonly perPeer: number;
  readonly total: number;
}

/** Counts what half-come requests and unread answers take up, so that calls that never end do not fill the memory. */
export class HeldBytes<Peer> {
  readonly #limits: HeldBytesLimits;
  readonly #byPeer = new Map<Peer, number>();
  #total = 0;

  constructor(limits: HeldBytesLimits = { perPeer: LIMITS.heldBytesPerConnection, total: LIMITS.heldBytes }) {
    this.#limits = limits;
  }

  /** What one call of `peer` holds, from nothing on. */
  open(peer: Peer): CallBytes {
    let counted = 0;
    return {
      set: (bytes) => {
        const wanted = bytes > FREE_BYTES ? bytes : 0;
        if (wanted > counted && !this.#hasRoom(peer, wanted - counted)) return false;
        this.#add(peer, wanted - counted);
        counted = wanted;
        return true;
      },
    };
  }

  #hasRoom(peer: Peer, bytes: number): boolean {
    return (
      this.#total + bytes <= this.#limits.total &&
      (this.#byPeer.get(peer) ?? 0) + bytes <= this.#limits.perPeer
    );
  }

  #add(peer: Peer, bytes: number): void {
    if (bytes === 0) return;
    this.#total += bytes;
    const held = (this.#byPeer.get(peer) ?? 0) + bytes;
    if (held === 0) this.#byPeer.delete(peer);
    else this.#byPeer.set(peer, held);
  }
}

export interface CallBytes {
  /** The call holds `bytes` from now on. False, and nothing changed: there is no room for as many. */
  set(bytes: number): boolean;
}
