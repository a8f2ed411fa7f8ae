import { type GatehouseError, LIMITS } from "../core/index.ts";
import type { CloseCause } from "./close-codes.ts";
import type { Handshake, QuicConnection } from "./connection.ts";
import { coalescedPackets } from "./packet.ts";

/** What the endpoint's owner says of a peer that has finished TLS. */
export type Admission =
  | { readonly kind: "admitted"; readonly accept?: (connection: QuicConnection) => void }
  | { readonly kind: "refused"; readonly cause: CloseCause; readonly error: GatehouseError };

/** Synchronous, quick, never throws: it runs between two packets of one datagram. */
export type PeerAdmission = (handshake: Handshake) => Admission;

/**
 * Keeps a peer's frames out until it is admitted. A datagram may hold Initial, Handshake and 1-RTT packets at once, and
 * the library would process the last as soon as the first complete the handshake; so packets are fed one by one,
 * handshake packets only, and the rest waits, bounded, for the verdict.
 */
export class Gate {
  readonly #feed: (packet: Buffer) => void;
  readonly #tryAdmit: () => boolean;
  readonly #held: Buffer[] = [];
  #isOpen = false;

  /** `tryAdmit` answers true once TLS is done and the peer is admitted. */
  constructor(feed: (packet: Buffer) => void, tryAdmit: () => boolean) {
    this.#feed = feed;
    this.#tryAdmit = tryAdmit;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  receive(datagram: Buffer): void {
    for (const { kind, bytes } of coalescedPackets(datagram)) {
      if (this.#isOpen) this.#feed(bytes);
      else if (kind === "short" || kind === "zero-rtt") this.#hold(bytes);
      else this.#handshake(bytes);
    }
  }

  #handshake(packet: Buffer): void {
    this.#feed(packet);
    if (!this.#tryAdmit()) return;
    this.#isOpen = true;
    for (const held of this.#held.splice(0)) this.#feed(held);
  }

  /** What does not fit is lost like any packet: the peer sends it again. */
  #hold(packet: Buffer): void {
    if (this.#held.length < LIMITS.heldPackets) this.#held.push(packet);
  }
}
