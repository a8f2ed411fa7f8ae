import { type Clock, type Random, sourceOf } from "../core/index.ts";
import type { SocketAddress } from "./address.ts";
import { CONNECTION_ID_BYTES } from "./connection-ids.ts";
import type { LongHeader } from "./packet.ts";
import { RetryTokens } from "./retry-tokens.ts";
import { SourceLedger, type SourceLimits } from "./source-ledger.ts";

/** A newcomer that gets a handshake. */
export interface Newcomer {
  readonly source: string;
  /** The connection id it will use for us from now on. */
  readonly id: Buffer;
  /** The first one it chose; undefined where it still uses it: there was no Retry. */
  readonly originalId: Buffer | undefined;
}

export type Reception =
  | { readonly kind: "welcome"; readonly newcomer: Newcomer }
  | { readonly kind: "retry"; readonly newId: Buffer; readonly token: Buffer }
  | { readonly kind: "refused" };

/** Whether the sender of an Initial gets a handshake, at once or after a round trip that proves its address (RFC 9000 §8.1). */
export class AddressValidation {
  readonly ledger: SourceLedger;
  readonly #tokens: RetryTokens;
  readonly #random: Random;

  constructor(limits: SourceLimits, clock: Clock, random: Random) {
    this.ledger = new SourceLedger(limits, clock);
    this.#tokens = new RetryTokens(clock, random);
    this.#random = random;
  }

  receive(header: LongHeader, from: SocketAddress): Reception {
    const source = sourceOf(from.host);
    // The client returns to the id that the Retry gave it, and that id is the token's.
    const originalId =
      header.token.length === 0 ? undefined : this.#tokens.check(header.token, from, header.dcid);
    const verdict = this.ledger.judge(source, originalId !== undefined);
    if (verdict === "refuse") return { kind: "refused" };
    if (verdict === "accept") {
      const id = originalId === undefined ? this.#newId() : Buffer.from(header.dcid);
      return { kind: "welcome", newcomer: { source, id, originalId } };
    }
    const newId = this.#newId();
    return { kind: "retry", newId, token: this.#tokens.mint(from, header.dcid, newId) };
  }

  #newId(): Buffer {
    return Buffer.from(this.#random.bytes(CONNECTION_ID_BYTES));
  }
}
