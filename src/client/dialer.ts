import { gatehouseHost, inspectLeaf } from "../certs/index.ts";
import type { Clock, Logger, Random } from "../core/index.ts";
import { type ClientTls, connectQuic, type QuicClientConnection } from "../quic/index.ts";
import { parseAddress } from "./address.ts";
import type { Dialer, DialOptions } from "./lane.ts";
import type { Remote } from "./remotes.ts";
import type { Resumption, Tickets } from "./tickets.ts";

export interface GatehouseDialerParts {
  readonly remote: Remote;
  readonly tls: ClientTls;
  readonly tickets: Tickets;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Makes QUIC connections to a gatehouse that this device is paired with, and keeps the tickets that come of them. */
export class GatehouseDialer implements Dialer {
  readonly #parts: GatehouseDialerParts;

  constructor(parts: GatehouseDialerParts) {
    this.#parts = parts;
  }

  async resumption(wanted: "ticket" | "no-ticket"): Promise<Resumption> {
    const { tickets, remote } = this.#parts;
    if (wanted === "ticket") return await tickets.take(remote);
    return { session: undefined, rttMs: tickets.rttMs(remote.gatehouseId) };
  }

  async dial({ resumption, timeoutMs, signal, onMoveOn }: DialOptions): Promise<QuicClientConnection> {
    const { remote, tls, tickets, clock, random, logger } = this.#parts;
    const { gatehouseId, caCertificates } = remote;
    let quic: QuicClientConnection | undefined;
    quic = await connectQuic({
      ...{ clock, random, logger, tls, timeoutMs, signal, onMoveOn, ...resumption },
      serverName: gatehouseHost(gatehouseId),
      address: parseAddress(remote.address),
      checkPeer: ({ certificates }) => {
        inspectLeaf(certificates, { caCertificates, gatehouseId, usage: "server", now: clock.now() });
      },
      onSession: (session) => {
        tickets.save(remote, { session, rttMs: quic?.connection.rttMs ?? resumption.rttMs });
      },
    });
    return quic;
  }
}
