import { gatehouseHost, inspectLeaf } from "../../certs/index.ts";
import {
  type Clock,
  type ErrorCode,
  equalBytes,
  GatehouseError,
  isGatehouseError,
  type Logger,
  type Random,
} from "../../core/index.ts";
import { connectGrpc } from "../../grpc/index.ts";
import {
  closeError,
  connectQuic,
  isCloseCause,
  NetworkWatch,
  type QuicClientConnection,
  type QuicConnectOptions,
  udpNetwork,
} from "../../quic/index.ts";
import { parseAddress } from "../address.ts";
import { withClockHint } from "../clock-skew.ts";
import type { Remote } from "../remotes.ts";
import type { Dialer, Dialled, DialOptions } from "./lane.ts";
import { isPassing } from "./link-failures.ts";
import type { Resumption, Tickets } from "./tickets.ts";
import type { Trust } from "./trust.ts";
import { type Unwired, WHY, type Wire } from "./wire.ts";
import type { UdpHistory } from "./wire-memory.ts";
import { raceWires, type WireDialOptions } from "./wire-race.ts";

/** What a connection rests on: all of it may have changed since the last one. */
export interface Destination {
  readonly remote: Remote;
  readonly trust: Trust;
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
  readonly tickets: Pick<Tickets, "take" | "rttMs" | "save">;
  readonly udp: UdpHistory;
  /** The one wire that is wanted; undefined for whichever is best. */
  readonly wire: Wire | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Makes connections to a gatehouse that this device is paired with, and keeps the tickets that come of QUIC's. */
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
    // Where UDP does not get through, early data is lost, and a ticket with it.
    const isUseful = wanted === "ticket" && this.#ways.quic && !(await this.#parts.udp.hasFailed());
    if (isUseful) return await tickets.take(remote);
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

  hasOtherWay(failure: unknown): boolean {
    return this.#ways.grpc && isPassing(failure);
  }

  async dial(options: DialOptions): Promise<Dialled> {
    const { name, lastSkewMs } = this.#destination.remote;
    const { quic, grpc } = this.#ways;
    const { wire, udp, clock } = this.#parts;
    const parts = {
      quic: quic ? (own: WireDialOptions) => this.#dialQuic(own) : undefined,
      grpc: grpc ? (own: WireDialOptions) => this.#dialGrpc(own) : undefined,
      ...{ only: wire === undefined ? undefined : WHY.wished, udp, clock },
    };
    try {
      return await raceWires(parts, options);
    } catch (failure) {
      throw withClockHint(failure, name, lastSkewMs);
    }
  }

  get #ways(): Readonly<Record<Wire, boolean>> {
    const { wire } = this.#parts;
    const { quic, grpc } = this.#destination.remote;
    return { quic: wire !== "grpc" && quic !== "off", grpc: wire !== "quic" && grpc !== "off" };
  }

  async #dialQuic({ resumption, timeoutMs, signal, onMoveOn }: WireDialOptions): Promise<Unwired> {
    const { tickets, clock, random, logger } = this.#parts;
    const { remote, trust } = this.#destination;
    let quic: QuicClientConnection | undefined;
    quic = await dialled({
      ...{ clock, random, logger, timeoutMs, signal, onMoveOn, ...resumption },
      tls: await trust.quic(),
      serverName: gatehouseHost(remote.gatehouseId),
      address: parseAddress(remote.address),
      checkPeer: ({ certificates }) => this.#check(remote, certificates),
      onSession: (session) => {
        tickets.save(remote, { session, rttMs: quic?.connection.rttMs ?? resumption.rttMs });
      },
    });
    return quic;
  }

  async #dialGrpc({ timeoutMs, signal, onMoveOn }: WireDialOptions): Promise<Unwired> {
    const { clock } = this.#parts;
    const { remote, trust } = this.#destination;
    const dialled = await connectGrpc({
      ...{ clock, timeoutMs, signal, onMoveOn, identity: trust.identity },
      verification: { kind: "strict", caPem: trust.caPem },
      serverName: gatehouseHost(remote.gatehouseId),
      address: parseAddress(remote.grpc ?? remote.address),
      checkPeer: ({ certificates }) => this.#check(remote, certificates),
      closing,
    });
    // TCP does not move with this machine: on another network it would only be silent.
    const watch = new NetworkWatch({
      ...{ network: udpNetwork, clock, local: () => dialled.connection.localAddress },
      changed: () => onMoveOn("recycle"),
    });
    void dialled.connection.closed.then(() => watch[Symbol.dispose]());
    return dialled;
  }

  #check({ caCertificates, gatehouseId }: Remote, certificates: readonly Uint8Array[]): void {
    const { clock, isOwnKey } = this.#parts;
    const expected = { caCertificates, gatehouseId, usage: "server", now: clock.now() } as const;
    const { spkiSha256 } = inspectLeaf(certificates, expected);
    if (isOwnKey?.(spkiSha256) === false) throw notOurGatehouse();
  }
}

/** What ends a handshake before the server has proven who it is anybody may have said: it is no verdict on this device. */
async function dialled(options: QuicConnectOptions): Promise<QuicClientConnection> {
  try {
    return await connectQuic(options);
  } catch (failure) {
    if (!VERDICTS.some((code) => isGatehouseError(failure, code))) throw failure;
    const words = failure instanceof GatehouseError ? failure.message : "";
    throw new GatehouseError("quic.closed", `the handshake was broken off: ${words}`, {
      hint: "check that this is the gatehouse's port, and what is between",
      cause: failure,
    });
  }
}

const VERDICTS = ["quic.not-admitted", "certificate.expired"] as const;

/** What gRPC tells in a code and a sentence, with the hint that QUIC's close codes have. */
export function closing(code: ErrorCode, sentence: string): GatehouseError {
  return isCloseCause(code) ? closeError(code, sentence) : new GatehouseError(code, sentence);
}

function notOurGatehouse(): GatehouseError<"quic.wrong-server"> {
  return new GatehouseError("quic.wrong-server", "what listens there has not this gatehouse's key", {
    hint: "somebody may have changed files of this home: do not type its passphrase; start gatehouse serve anew",
  });
}
