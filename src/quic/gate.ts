import { type GatehouseError, LIMITS } from "../core/index.ts";
import type { CloseCause } from "./close-codes.ts";
import type { QuicConnection } from "./connection.ts";
import type { Handshake } from "./connection-options.ts";
import { type CoalescedPacket, coalescedPackets } from "./packet.ts";

/** What the endpoint's owner says of a peer that has finished TLS. */
export type Admission =
  | { readonly kind: "admitted"; readonly accept?: (connection: QuicConnection) => void }
  | { readonly kind: "refused"; readonly cause: CloseCause; readonly error: GatehouseError };

/** Synchronous, quick, never throws: it runs between two packets of one datagram. */
export type PeerAdmission = (handshake: Handshake) => Admission;

/**
 * Keeps a peer's frames out until it is admitted. A datagram may hold Initial, Handshake and 1-RTT packets at once, and
 * the library would process the last as soon as the first complete the handshake, and early data (0-RTT) sooner than
 * that; so packets are fed one by one, handshake packets only, and the rest waits, bounded, for the verdict.
 */
export class Gate {
  readonly #feed: (packet: CoalescedPacket) => void;
  readonly #tryAdmit: () => boolean;
  readonly #held: CoalescedPacket[] = [];
  #isOpen = false;

  /** `tryAdmit` answers true once TLS has shown the peer's certificates and the peer is admitted. */
  constructor(feed: (packet: CoalescedPacket) => void, tryAdmit: () => boolean) {
    this.#feed = feed;
    this.#tryAdmit = tryAdmit;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  receive(datagram: Buffer): void {
    for (const packet of coalescedPackets(datagram)) {
      if (this.#isOpen) this.#feed(packet);
      else if (packet.kind === "short" || packet.kind === "zero-rtt") this.#hold(packet);
      else this.#handshake(packet);
    }
  }

  #handshake(packet: CoalescedPacket): void {
    this.#feed(packet);
    this.look();
  }

  /** The library may have got further by itself: a client whose early data was turned down does while it writes. */
  look(): void {
    if (this.#isOpen || !this.#tryAdmit()) return;
    this.#isOpen = true;
    for (const held of this.#held.splice(0)) this.#feed(held);
  }

  /** What does not fit is lost like any packet: the peer sends it again. */
  #hold(packet: CoalescedPacket): void {
    if (this.#held.length < LIMITS.heldPackets) this.#held.push(packet);
  }
}
