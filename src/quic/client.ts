import { type Clock, GatehouseError, LIMITS, type Logger, type Random } from "../core/index.ts";
import { formatAddress, resolveAddress, type SocketAddress } from "./address.ts";
import { type Handshake, QuicConnection } from "./connection.ts";
import type { Admission } from "./gate.ts";
import { loadQuiche, type NativeConfig } from "./native.ts";
import { type PeerVerification, type TlsIdentity, transportConfig } from "./tls.ts";
import { Turn } from "./turn.ts";
import { UdpSocket } from "./udp-socket.ts";

const CONNECTION_ID_BYTES = 16;
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
    return new ClientTls(
      transportConfig(quiche, { role: "client", ...options, idleMs, alpn: [alpn] }),
      idleMs,
    );
  }
}

export interface QuicConnectOptions {
  /** A name or an IP address. */
  readonly address: SocketAddress;
  /** DNS name in the server's certificate; also sent as SNI. */
  readonly serverName: string;
  readonly tls: ClientTls;
  /** A further check of the server, after TLS's own; throws a `GatehouseError` to refuse it. */
  readonly checkPeer?: (handshake: Handshake) => void;
  /** Default `LIMITS.handshakeMs`. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** A connection of this process's making, and the socket under it. */
export interface QuicClientConnection extends AsyncDisposable {
  readonly connection: QuicConnection;
  readonly handshakeMs: number;
}

/**
 * Connects and checks the server. Note that the server judges the client's certificate after this resolves: a refusal
 * arrives as the end of the connection, and every stream opened meanwhile ends with it.
 *
 * @throws quic.unreachable, quic.timed-out, quic.wrong-server, quic.not-admitted, quic.bad-address, rpc.cancelled
 */
export async function connectQuic(options: QuicConnectOptions): Promise<QuicClientConnection> {
  options.signal?.throwIfAborted();
  const quiche = await loadQuiche();
  const remote = await resolveAddress(options.address);
  const socket = await UdpSocket.connect(remote, options.logger);
  const scid = Buffer.from(options.random.bytes(CONNECTION_ID_BYTES));
  const turn = new Turn((arrivals) => {
    for (const { datagram, from } of arrivals) connection.receive(datagram, from);
    connection.afterReceive();
  }, options.logger);
  const connection = new QuicConnection({
    native: quiche.Connection.connect(options.serverName, scid, socket.address, remote, options.tls.config),
    role: "client",
    keepAliveMs: Math.min(LIMITS.keepAliveMs, options.tls.idleMs / 3),
    socket,
    remote,
    admit: (handshake) => judge(options, handshake),
    clock: options.clock,
    logger: options.logger,
    scratch: Buffer.allocUnsafeSlow(SCRATCH_BYTES),
    schedule: (ready) => turn.schedule(ready),
    gone: () => void socket[Symbol.asyncDispose](),
  });
  const startedMs = options.clock.monotonicMs();
  const closeAll = async (): Promise<void> => {
    connection.close("done");
    await new Promise((resolve) => setImmediate(resolve));
    await socket[Symbol.asyncDispose]();
    connection.abandon();
  };
  socket.listen(
    (datagram, from) => turn.arrived(datagram, from),
    // Believed only before anything came back: anyone on the path can forge it.
    (error) => {
      if (!connection.isOpen && error.code === "ECONNREFUSED") connection.abandon(unreachable(remote));
    },
  );
  turn.schedule(connection);
  try {
    await established(connection, options, remote);
  } catch (failure) {
    await closeAll();
    throw failure;
  }
  return {
    connection,
    handshakeMs: options.clock.monotonicMs() - startedMs,
    [Symbol.asyncDispose]: closeAll,
  };
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

/** Waits until the server is checked, the time is up or the caller gives up. */
async function established(
  connection: QuicConnection,
  options: QuicConnectOptions,
  remote: SocketAddress,
): Promise<void> {
  const { signal, clock, timeoutMs = LIMITS.handshakeMs } = options;
  const cancel = (): void =>
    connection.abandon(new GatehouseError("rpc.cancelled", "connecting was cancelled"));
  using _timer = clock.setTimer(timeoutMs, () => {
    const message = `${formatAddress(remote)} did not answer within ${timeoutMs} ms`;
    connection.abandon(new GatehouseError("quic.timed-out", message, { hint: UNREACHABLE_HINT }));
  });
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    await connection.opened;
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
}
