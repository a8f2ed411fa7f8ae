import type { Random } from "../core/index.ts";
import type { NativeConnection } from "./native.ts";

export const CONNECTION_ID_BYTES = 16;
/** Ids in stock for a peer that has not moved: enough for it to move three times within a round trip. */
const STOCK = 4;
const RESET_TOKEN_BYTES = 16;

/** Who finds a connection by its ids. */
export interface Routes {
  add(id: Uint8Array): void;
  remove(id: Uint8Array): void;
}

/**
 * The connection ids that this side issues (RFC 9000 §5.1.1): a peer that moves uses up one each time, so that nobody on
 * the way can link its addresses. The library never takes one back from a path that was left; they end with the
 * connection, which is replaced before its paths run out.
 */
export class ConnectionIds {
  readonly #native: NativeConnection;
  readonly #random: Random;
  readonly #routes: Routes;
  readonly #issued = new Set<string>();
  #used = 0;
  /** The beginning of the id that the last packet came by. */
  #lastSeen = 0;

  constructor(native: NativeConnection, random: Random, routes: Routes) {
    this.#native = native;
    this.#random = random;
    this.#routes = routes;
  }

  /**
   * A short-header packet came. The peer takes an id of its stock for each address of ours, and of its own, that it
   * answers to, and says so in no other way.
   */
  arrived(datagram: Buffer): void {
    if (datagram.length < 1 + CONNECTION_ID_BYTES) return;
    const start = datagram.readInt32LE(1);
    if (start === this.#lastSeen) return;
    this.#lastSeen = start;
    if (!this.#issued.delete(datagram.toString("latin1", 1, 1 + CONNECTION_ID_BYTES))) return;
    this.#used += 1;
    this.refill();
  }

  /** One more than the stock, for a path of this side's making. */
  issueOne(): void {
    this.#used += 1;
    this.refill();
  }

  /** Fills the stock as far as the peer holds it (RFC 9000 §18.2). After the handshake, and after each move. */
  refill(): void {
    const native = this.#native;
    while (native.activeSourceCids() < STOCK + this.#used && native.sourceCidsLeft() > 0) {
      const id = this.#random.bytes(CONNECTION_ID_BYTES);
      native.newSourceCid(Buffer.from(id), this.#resetToken(), false);
      this.#issued.add(Buffer.from(id).toString("latin1"));
      this.#routes.add(id);
    }
  }

  /** Lets go of what the peer retired. */
  drainRetired(): void {
    for (let id = this.#native.retiredScidNext(); id !== null; id = this.#native.retiredScidNext())
      this.#routes.remove(id);
  }

  /** Never used: the library sends no stateless resets. Nobody must be able to guess it all the same. */
  #resetToken(): bigint {
    return Buffer.from(this.#random.bytes(RESET_TOKEN_BYTES)).readBigUInt64LE(0);
  }
}
