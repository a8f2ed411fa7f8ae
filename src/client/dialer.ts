import { gatehouseHost, inspectLeaf } from "../certs/index.ts";
import {
  type Clock,
  equalBytes,
  GatehouseError,
  isGatehouseError,
  type Logger,
  type Random,
} from "../core/index.ts";
import { type ClientTls, connectQuic, type QuicClientConnection } from "../quic/index.ts";
import { parseAddress } from "./address.ts";
import { withClockHint } from "./clock-skew.ts";
import type { Dialer, DialOptions } from "./lane.ts";
import type { Remote } from "./remotes.ts";
import type { Resumption, Tickets } from "./tickets.ts";

/** What a connection rests on: both may have changed since the last one. */
export interface Destination {
  readonly remote: Remote;
  readonly tls: ClientTls;
}

export interface GatehouseDialerParts {
  readonly first: Destination;
  /** The same gatehouse as this home knows it now. @throws GatehouseError when it does not any more */
  readonly again: () => Promise<Destination>;
  /** For a certificate that the gatehouse says has run out; undefined where there is nothing to do. @throws GatehouseError */
  readonly renew: ((refused: Uint8Array) => Promise<unknown>) | undefined;
  /**
   * Of this home's own gatehouse: whether a key, by its SHA-256, is this identity's. Who can write to the home while it is
   * off could otherwise name another authority, and be told what is typed to unseal it.
   */
  readonly isOwnKey?: (spkiSha256: Uint8Array) => boolean;
  readonly tickets: Tickets;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Makes QUIC connections to a gatehouse that this device is paired with, and keeps the tickets that come of them. */
export class GatehouseDialer implements Dialer {
  readonly #parts: GatehouseDialerParts;
  #destination: Destination;
  #isFirst = true;
  /** The certificate that the gatehouse said has run out. */
  #refused: Uint8Array | undefined;
  #isRenewalDue = false;

  constructor(parts: GatehouseDialerParts) {
    this.#parts = parts;
    this.#destination = parts.first;
  }

  async resumption(wanted: "ticket" | "no-ticket"): Promise<Resumption> {
    const { tickets, renew } = this.#parts;
    if (this.#isRenewalDue && this.#refused !== undefined) {
      this.#isRenewalDue = false;
      await renew?.(this.#refused);
    }
    if (!this.#isFirst) this.#destination = await this.#parts.again();
    this.#isFirst = false;
    const { remote } = this.#destination;
    if (wanted === "ticket") return await tickets.take(remote);
    return { session: undefined, rttMs: tickets.rttMs(remote.gatehouseId) };
  }

  /** Once for each certificate. */
  mends(failure: GatehouseError): boolean {
    const { certificate } = this.#destination.remote;
    if (this.#parts.renew === undefined || !isGatehouseError(failure, "certificate.expired")) return false;
    if (this.#refused !== undefined && equalBytes(this.#refused, certificate)) return this.#isRenewalDue;
    this.#refused = certificate;
    this.#isRenewalDue = true;
    return true;
  }

  async dial(options: DialOptions): Promise<QuicClientConnection> {
    const { name, lastSkewMs } = this.#destination.remote;
    try {
      return await this.#dial(options);
    } catch (failure) {
      throw withClockHint(failure, name, lastSkewMs);
    }
  }

  async #dial({ resumption, timeoutMs, signal, onMoveOn }: DialOptions): Promise<QuicClientConnection> {
    const { tickets, clock, random, logger, isOwnKey } = this.#parts;
    const { remote, tls } = this.#destination;
    const { gatehouseId, caCertificates } = remote;
    let quic: QuicClientConnection | undefined;
    quic = await connectQuic({
      ...{ clock, random, logger, tls, timeoutMs, signal, onMoveOn, ...resumption },
      serverName: gatehouseHost(gatehouseId),
      address: parseAddress(remote.address),
      checkPeer: ({ certificates }) => {
        const expected = { caCertificates, gatehouseId, usage: "server", now: clock.now() } as const;
        const { spkiSha256 } = inspectLeaf(certificates, expected);
        if (isOwnKey?.(spkiSha256) === false) throw notOurGatehouse();
      },
      onSession: (session) => {
        tickets.save(remote, { session, rttMs: quic?.connection.rttMs ?? resumption.rttMs });
      },
    });
    return quic;
  }
}

function notOurGatehouse(): GatehouseError<"quic.wrong-server"> {
  return new GatehouseError("quic.wrong-server", "what listens there has not this gatehouse's key", {
    hint: "somebody may have changed files of this home: do not type its passphrase; start gatehouse serve anew",
  });
}
