import { type Clock, firstOf, GatehouseError, LIMITS, type Logger, type Random } from "../core/index.ts";
import { formatAddress, resolveAddress, type SocketAddress } from "./address.ts";
import { QuicConnection } from "./connection.ts";
import { CONNECTION_ID_BYTES } from "./connection-ids.ts";
import type { Handshake } from "./connection-options.ts";
import type { Admission } from "./gate.ts";
import { Migration } from "./migration.ts";
import { loadQuiche, type NativeConfig, type Quiche } from "./native.ts";
import type { DatagramSocket, Network } from "./network.ts";
import { NetworkWatch } from "./network-watch.ts";
import type { Signal } from "./stream-table.ts";
import { type PeerVerification, type TlsIdentity, transportConfig } from "./tls.ts";
import { Turn } from "./turn.ts";
import { udpNetwork } from "./udp-socket.ts";

const SCRATCH_BYTES = 65_536;

export interface ClientTlsOptions {
  readonly identity: TlsIdentity;
  readonly verification: PeerVerification;
  readonly alpn: string;
  /** Silence after which either side gives the connection up; default `LIMITS.idleMs`. Kept alive while calls run. */
  readonly idleMs?: number;
}

/** A TLS context: one identity, one way to judge servers. Costs more to make than a connection; keep it. */
export class ClientTls {
  readonly config: NativeConfig;
  readonly idleMs: number;

  private constructor(config: NativeConfig, idleMs: number) {
    this.config = config;
    this.idleMs = idleMs;
  }

  /** @throws quic.unsupported-platform */
  static async create({ idleMs = LIMITS.idleMs, alpn, ...options }: ClientTlsOptions): Promise<ClientTls> {
    const quiche = await loadQuiche();
    const earlyData = options.verification.kind === "strict" ? "allowed" : "never";
    return new ClientTls(
      transportConfig(quiche, { role: "client", ...options, earlyData, idleMs, alpn: [alpn] }),
      idleMs,
    );
  }
}

export interface QuicConnectOptions {
  /** A name or an IP address. A name's addresses are tried one after another, a quarter of a second apart. */
  readonly address: SocketAddress;
  /** DNS name in the server's certificate; also sent as SNI. */
  readonly serverName: string;
  readonly tls: ClientTls;
  /** A ticket of an earlier connection (`onSession`), of the same identity and the same server. Use each once. */
  readonly session?: Uint8Array | undefined;
  /** Round-trip time of an earlier connection, milliseconds: says when to repeat what is not answered. */
  readonly rttMs?: number | undefined;
  /** Hears of each ticket: opaque, and a secret. */
  readonly onSession?: ((session: Uint8Array) => void) | undefined;
  /**
   * A fresh connection is wanted: this one has been used for long (`recycle`), or the server stops soon (`going-away`).
   * Streams under way go on.
   */
  readonly onMoveOn?: ((reason: Signal) => void) | undefined;
  /** A further check of the server, after TLS's own; throws a `GatehouseError` to refuse it. */
  readonly checkPeer?: (handshake: Handshake) => void;
  /** Default `LIMITS.handshakeMs`. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Default: the machine's own. */
  readonly network?: Network;
}

/** A connection of this process's making, and the sockets under it. */
export interface QuicClientConnection extends AsyncDisposable {
  readonly connection: QuicConnection;
  /** From the first packet until the server was checked; until then, so far. */
  readonly handshakeMs: number;
  /** Moves to a new local address now (RFC 9000 §9), streams and all. It does so by itself when the network changes. */
  migrate(): Promise<void>;
}

/**
 * Connects and checks the server. Note that the server judges the client's certificate after this resolves: a refusal
 * arrives as the end of the connection, and every stream opened meanwhile ends with it.
 *
 * With a `session` that allows early data it resolves at once, and `connection.isEarly` holds until `connection.opened`
 * settles: what is sent before may reach the server twice, or not at all.
 *
 * @throws quic.unreachable, quic.timed-out, quic.wrong-server, quic.not-admitted, quic.bad-address, rpc.cancelled
 */
export async function connectQuic(options: QuicConnectOptions): Promise<QuicClientConnection> {
  options.signal?.throwIfAborted();
  const quiche = await loadQuiche();
  const addresses = await resolveAddress(options.address);
  const [only] = addresses;
  if (only !== undefined && addresses.length === 1)
    return await Dial.to(only, { ...options, isAlone: true }, quiche);
  // A ticket serves one connection.
  return await firstOf(addresses, options, (address, signal, index) =>
    Dial.to(
      address,
      { ...options, signal, isAlone: false, session: index === 0 ? options.session : undefined },
      quiche,
    ),
  );
}

interface DialOptions extends QuicConnectOptions {
  /** No other address may yet do better, so that early data need not wait and see. */
  readonly isAlone: boolean;
}

/** One connection in the making, and its sockets for as long as it lives. */
class Dial implements QuicClientConnection {
  readonly connection: QuicConnection;
  readonly #options: DialOptions;
  readonly #network: Network;
  readonly #remote: SocketAddress;
  readonly #turn: Turn<QuicConnection>;
  readonly #migration: Migration;
  readonly #startedMs: number;
  #watch: Disposable | undefined;
  #openedMs: number | undefined;

  private constructor(options: DialOptions, remote: SocketAddress, socket: DatagramSocket, quiche: Quiche) {
    const { clock, logger, network = udpNetwork } = options;
    this.#options = options;
    this.#network = network;
    this.#remote = remote;
    this.#startedMs = clock.monotonicMs();
    this.#turn = new Turn({
      logger,
      read: (arrivals) => {
        for (const { datagram, from, socket: local } of arrivals)
          this.connection.receive(datagram, from, local.address);
        this.connection.afterReceive();
      },
    });
    this.connection = this.#open(socket, quiche);
    this.#migration = new Migration(
      { connection: this.connection, network, clock, logger, listen: (next) => this.#listen(next) },
      socket,
    );
    this.#listen(socket);
  }

  static async to(
    remote: SocketAddress,
    options: DialOptions,
    quiche: Quiche,
  ): Promise<QuicClientConnection> {
    const { network = udpNetwork, logger } = options;
    const dial = new Dial(options, remote, await network.connect(remote, logger), quiche);
    try {
      await dial.#usable();
    } catch (failure) {
      await dial[Symbol.asyncDispose]();
      throw failure;
    }
    return dial;
  }

  get handshakeMs(): number {
    return (this.#openedMs ?? this.#options.clock.monotonicMs()) - this.#startedMs;
  }

  migrate(): Promise<void> {
    return this.#migration.move();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watch?.[Symbol.dispose]();
    this.connection.close("done");
    await new Promise((resolve) => setImmediate(resolve));
    await this.#migration[Symbol.asyncDispose]();
    this.connection.abandon();
  }

  #open(socket: DatagramSocket, quiche: Quiche): QuicConnection {
    const { tls, serverName, session, rttMs, clock, random, logger, onSession, onMoveOn } = this.#options;
    const id = Buffer.from(random.bytes(CONNECTION_ID_BYTES));
    const native = quiche.Connection.connect(serverName, id, socket.address, this.#remote, tls.config);
    const isResuming = session !== undefined && restore(native, session);
    return new QuicConnection({
      ...{ native, role: "client", socket, remote: this.#remote, isResuming, rttMs, clock, random, logger },
      keepAliveMs: Math.min(LIMITS.keepAliveMs, tls.idleMs / 3),
      admit: (handshake) => judge(this.#options, handshake),
      ...(onSession === undefined ? {} : { onSession }),
      ...(onMoveOn === undefined ? {} : { onSignal: onMoveOn }),
      scratch: Buffer.allocUnsafeSlow(SCRATCH_BYTES),
      // Every datagram of these sockets is this connection's.
      routes: { add: () => undefined, remove: () => undefined },
      schedule: (ready) => this.#turn.schedule(ready),
      gone: () => void this.#gone(),
    });
  }

  #listen(socket: DatagramSocket): void {
    socket.listen(
      (datagram, from) => this.#turn.arrived(datagram, from, socket),
      // Believed only before anything came back: anyone on the path can forge it.
      (error) => {
        if (error.code === "ECONNREFUSED" && !this.connection.isOpen)
          this.connection.abandon(unreachable(this.#remote));
        else if (LOST_ROUTE.has(error.code ?? "")) this.#follow();
      },
    );
  }

  /** Waits until the server is checked or early data may be sent, the time is up or the caller gives up. */
  async #usable(): Promise<void> {
    const { connection } = this;
    connection.flush();
    const opened = this.#opened();
    if (!connection.isEarly || !this.#options.isAlone) return await opened;
    // Whoever uses it early hears of its end by its streams.
    opened.catch(() => undefined);
  }

  async #opened(): Promise<void> {
    const { signal, clock, timeoutMs = LIMITS.handshakeMs } = this.#options;
    const { connection } = this;
    const cancel = (): void =>
      connection.abandon(new GatehouseError("rpc.cancelled", "connecting was cancelled"));
    using _timer = clock.setTimer(timeoutMs, () => {
      const message = `${formatAddress(this.#remote)} did not answer within ${timeoutMs} ms`;
      connection.abandon(new GatehouseError("quic.timed-out", message, { hint: UNREACHABLE_HINT }));
    });
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      await connection.opened;
      this.#openedMs = clock.monotonicMs();
      if (connection.isOpen) this.#watch = this.#watchNetwork();
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }

  #watchNetwork(): NetworkWatch {
    return new NetworkWatch({
      network: this.#network,
      clock: this.#options.clock,
      local: () => this.#migration.socket.address.host,
      changed: () => this.#follow(),
    });
  }

  #follow(): void {
    this.#migration.followRoute().catch((failure: unknown) => {
      // It is stuck on a network that is gone: a fresh connection is the way out.
      this.#options.onMoveOn?.("recycle");
      this.#options.logger.debug("quic-migration-failed", {
        error: failure instanceof Error ? failure.message : "unknown",
      });
    });
  }

  async #gone(): Promise<void> {
    this.#watch?.[Symbol.dispose]();
    await this.#migration[Symbol.asyncDispose]();
  }
}

/** What a socket says when the address or the network under it has gone. */
const LOST_ROUTE = new Set(["ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "ENETDOWN", "EINVAL"]);

/** A ticket that the library does not understand is no ticket. */
function restore(native: { setSession(session: Uint8Array): void }, session: Uint8Array): boolean {
  try {
    native.setSession(session);
    return true;
  } catch {
    return false;
  }
}

function judge({ checkPeer }: QuicConnectOptions, handshake: Handshake): Admission {
  try {
    checkPeer?.(handshake);
    return { kind: "admitted" };
  } catch (failure) {
    const error =
      failure instanceof GatehouseError
        ? failure
        : new GatehouseError("quic.wrong-server", "the server could not be checked", { cause: failure });
    return { kind: "refused", cause: "not-admitted", error };
  }
}

const UNREACHABLE_HINT = "check the address, that the gatehouse runs, and that UDP gets through";

function unreachable(remote: SocketAddress): GatehouseError {
  return new GatehouseError("quic.unreachable", `nothing answers at ${formatAddress(remote)}`, {
    hint: UNREACHABLE_HINT,
  });
}
