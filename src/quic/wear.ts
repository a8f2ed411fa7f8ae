import { LIMITS } from "../core/index.ts";

/** `worn`: the peer is asked to open a fresh connection; `spent`: this one ends now. */
export type WearState = "fresh" | "worn" | "spent";

/** Of a datagram, and of what answers one of ours, these are the packet's own or an acknowledgement; what is more should be stream data. */
const OVERHEAD_BYTES = 64;
/** Of what streams delivered, so much may have come more than once on a bad link. */
const REPEATED_SHARE = 0.1;
const SPENT_FACTOR = 2;

/**
 * How much a connection has been used: packet numbers end (RFC 9000 §12.3), paths run out, and the library keeps some of
 * what odd frames bring for as long as the connection lives (CRYPTO bytes, retired ids, path challenges). None of it can be
 * seen, but all of it has to come in packets, so what came and did not end up in a stream is counted.
 */
export class Wear {
  #received = 0;
  #sent = 0;
  #surplusBytes = 0;
  readonly #bornMs: number;

  constructor(bornMs: number) {
    this.#bornMs = bornMs;
  }

  received(datagramBytes: number): void {
    this.#received += 1;
    if (datagramBytes > OVERHEAD_BYTES) this.#surplusBytes += datagramBytes - OVERHEAD_BYTES;
  }

  sent(): void {
    this.#sent += 1;
  }

  state({
    nowMs,
    paths,
    deliveredBytes,
  }: {
    nowMs: number;
    paths: number;
    deliveredBytes: number;
  }): WearState {
    const odd = this.#surplusBytes - deliveredBytes * (1 + REPEATED_SHARE) - this.#sent * OVERHEAD_BYTES;
    const shares = [
      (this.#received + this.#sent) / LIMITS.connectionPackets,
      (nowMs - this.#bornMs) / LIMITS.connectionAgeMs,
      paths / LIMITS.connectionPaths,
      odd / LIMITS.connectionOddBytes,
    ];
    const most = Math.max(...shares);
    if (most < 1) return "fresh";
    return most < SPENT_FACTOR ? "worn" : "spent";
  }
}
