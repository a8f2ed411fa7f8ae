import { certificatePem, gatehouseHost, inspectLeaf } from "../certs/index.ts";
import {
  type Clock,
  LIMITS,
  type Logger,
  type Random,
  silentLogger,
  systemClock,
  systemRandom,
} from "../core/index.ts";
import { homeLayout } from "../files/index.ts";
import type { MethodDefinition } from "../gen/index.ts";
import { connectQuic, type QuicClientConnection } from "../quic/index.ts";
import { Caller, type CallOptions } from "../rpc/index.ts";
import { parseAddress } from "./address.ts";
import { openHomeIdentity } from "./home-identity.ts";
import { localGatehouse } from "./local-gatehouse.ts";
import { type Remote, Remotes } from "./remotes.ts";

const REQUESTS_ALPN = "gatehouse/1";

export interface ConnectOptions {
  /** This device's install. */
  readonly home: string;
  /** A gatehouse's name or id. Left out: this home's own gatehouse, else the default or only one it is paired with. */
  readonly on?: string | undefined;
  /** For the handshake; at most, and by default, `LIMITS.handshakeMs`. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** How long the gatehouse waits for a sign of life before it drops what this client left. Default `LIMITS.idleMs`. */
  readonly idleMs?: number | undefined;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
}

/** A connection to one gatehouse, to make any number of calls on. */
export class Client implements AsyncDisposable {
  readonly remote: Remote;
  readonly wire = "quic";
  /** From the first packet to the checked server. */
  readonly handshakeMs: number;
  readonly #quic: QuicClientConnection;
  readonly #caller: Caller;

  constructor(remote: Remote, quic: QuicClientConnection, caller: Caller) {
    this.remote = remote;
    this.handshakeMs = quic.handshakeMs;
    this.#quic = quic;
    this.#caller = caller;
  }

  /** Smoothed round-trip time as the transport sees it, milliseconds. */
  get rttMs(): number | undefined {
    return this.#quic.connection.rttMs;
  }

  /**
   * One request, one response.
   * @throws GatehouseError what the gatehouse answered, `rpc.deadline`, `rpc.cancelled`, or why the connection ended.
   */
  call<RequestFields, Request, ResponseFields, Response>(
    method: MethodDefinition<"unary", RequestFields, Request, ResponseFields, Response>,
    request: RequestFields,
    options: CallOptions = {},
  ): Promise<Response> {
    return this.#caller.unary(() => this.#quic.connection.openStream(), method, request, options);
  }

  /** One request, a stream of responses. Leaving the loop cancels the call. */
  stream<RequestFields, Request, ResponseFields, Response>(
    method: MethodDefinition<"server", RequestFields, Request, ResponseFields, Response>,
    request: RequestFields,
    options: CallOptions = {},
  ): AsyncIterableIterator<Response, undefined> {
    return this.#caller.serverStream(() => this.#quic.connection.openStream(), method, request, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#caller[Symbol.dispose]();
    await this.#quic[Symbol.asyncDispose]();
  }
}

/**
 * Connects to a gatehouse by what pairing pinned: its authority, its name and its id. The gatehouse judges this device's
 * certificate after that: a refusal is what the first call fails with.
 *
 * @throws remote.none, remote.not-found, remote.ambiguous, quic.unreachable, quic.timed-out, quic.wrong-server,
 * home.bad-permissions, identity.damaged, file.damaged
 */
export async function connect(options: ConnectOptions): Promise<Client> {
  const { clock = systemClock, random = systemRandom, logger = silentLogger } = options;
  const layout = homeLayout(options.home);
  const identity = await openHomeIdentity(layout);
  const local = options.on === undefined ? await localGatehouse(layout, identity) : undefined;
  const remote = local ?? (await Remotes.of(options.home).resolve(options.on));
  const { gatehouseId, caCertificates } = remote;
  const quic = await connectQuic({
    ...{ clock, random, logger, alpn: REQUESTS_ALPN, serverName: gatehouseHost(gatehouseId) },
    address: parseAddress(remote.address),
    identity: { keyPem: identity.tls.privateKeyPem, certificatePem: certificatePem(remote.certificate) },
    verification: { kind: "strict", caPem: caCertificates.map(certificatePem).join("") },
    checkPeer: ({ certificates }) => {
      inspectLeaf(certificates, { caCertificates, gatehouseId, usage: "server", now: clock.now() });
    },
    ...(options.idleMs === undefined ? {} : { idleMs: options.idleMs }),
    timeoutMs: Math.min(options.timeoutMs ?? LIMITS.handshakeMs, LIMITS.handshakeMs),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  return new Client(remote, quic, new Caller({ clock, random }));
}
