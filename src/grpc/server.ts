import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { type Clock, copyOf, GatehouseError, LIMITS, type Logger } from "../core/index.ts";
import { GrpcConnection, type TcpAddress } from "./connection.ts";
import { refusal } from "./farewell.ts";
import { type GrpcServerCounters, keyOf, type NewcomerLimits, Newcomers } from "./newcomers.ts";
import { TcpPairingConnection } from "./pairing-connection.ts";
import { TcpListeners } from "./tcp-listeners.ts";
import { type ServerTls, type TlsContext, TlsDoor } from "./tls-door.ts";
import { tlsExporter } from "./tls-exporter.ts";

/** What is known of the peer once TLS has shown its certificate. */
export interface GrpcHandshake {
  /** DER: the peer's leaf; Node has verified it against the authorities unless it may be a renewal. Its key's possession is proven. */
  readonly certificates: readonly Uint8Array[];
  readonly context: TlsContext;
  readonly remote: TcpAddress;
}

/** What the server's owner says of a peer that has finished TLS. */
export type GrpcAdmission<Cause, Connection = GrpcConnection<Cause>> =
  | { readonly kind: "admitted"; readonly accept?: (connection: Connection) => void }
  | { readonly kind: "refused"; readonly error: GatehouseError };

type Refused = Extract<GrpcAdmission<unknown>, { readonly kind: "refused" }>;

export interface GrpcServerOptions<Cause> extends ServerTls {
  /** One socket each. */
  readonly listen: readonly TcpAddress[];
  /** Judges every connection when TLS is through, before anything of it is read. Synchronous. */
  readonly admit: (handshake: GrpcHandshake) => GrpcAdmission<Cause>;
  /** The same for strangers while a pairing window is open; who is refused is dropped. Default: everybody is. */
  readonly admitPairing?: (handshake: GrpcHandshake) => GrpcAdmission<Cause, TcpPairingConnection>;
  /**
   * Whether devices are expected whose certificates have run out. Where they are, a source whose handshake has just failed
   * gets a context that lets any key through the next time, for `admit` to decide: all others stay strict.
   */
  readonly isReadmitting?: () => boolean;
  /** What those are told whose connection is closed for a cause. */
  readonly closing: (cause: Cause, reason: string) => GatehouseError;
  /** Told whose bytes are handled next, and undefined when nobody's are any more. Called very often. */
  readonly onHandling?: (connection: GrpcConnection<Cause> | undefined) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits?: Partial<NewcomerLimits>;
}

/** The front door for whom UDP does not reach: gRPC over HTTP/2 with TLS 1.3 both ways. */
export class GrpcServer<Cause> implements AsyncDisposable {
  readonly #options: GrpcServerOptions<Cause>;
  readonly #door: TlsDoor;
  readonly #newcomers: Newcomers;
  readonly #connections = new Set<GrpcConnection<Cause>>();
  readonly #strangers = new Set<TcpPairingConnection>();
  readonly #sockets = new Set<Socket>();
  #listeners: TcpListeners | undefined;
  #isClosing = false;

  private constructor(options: GrpcServerOptions<Cause>) {
    const { identity, caPem, clock, limits } = options;
    this.#options = options;
    this.#newcomers = new Newcomers(clock, limits);
    this.#door = new TlsDoor({
      ...{ identity, caPem },
      secured: (socket, context) => this.#guarded(socket, () => this.#secured(socket, context)),
    });
  }

  /** @throws quic.address-in-use, quic.bad-address */
  static async listen<Cause>(options: GrpcServerOptions<Cause>): Promise<GrpcServer<Cause>> {
    const server = new GrpcServer(options);
    server.#listeners = await TcpListeners.open(options.listen, (socket) => server.#arrived(socket));
    return server;
  }

  /** Every address that it listens on, concrete. */
  get addresses(): readonly TcpAddress[] {
    return this.#listeners?.addresses ?? [];
  }

  get counters(): Readonly<GrpcServerCounters> {
    return this.#newcomers.counters;
  }

  /** Past admission, strangers who pair included. */
  get connectionCount(): number {
    return this.#connections.size + this.#strangers.size;
  }

  /**
   * Until disposed, new connections get a TLS context of their own that lets anybody through. Who asks there for `alpn` is for
   * `admitPairing`; everything else goes on as ever, by certificates that Node has verified.
   * @throws TypeError when a window is open already.
   */
  openPairing(alpn: string): Disposable {
    return this.#door.openPairing(alpn);
  }

  /** Shows another certificate, and trusts other authorities, from the next connection on; those that are open stay. */
  replaceTls(tls: ServerTls): void {
    this.#door.replace(tls);
  }

  /** Takes no new connections, and tells every client that the end is near: calls under way go on. */
  announceShutdown(): void {
    for (const connection of this.#connections) connection.drain();
  }

  /** Ends every connection within `LIMITS.grpcLingerMs`. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    await this.#listeners?.[Symbol.asyncDispose]();
    const connections = [...this.#connections];
    const strangers = [...this.#strangers];
    for (const connection of connections) connection.drain();
    for (const stranger of strangers) stranger.close();
    const timer = this.#options.clock.setTimer(LIMITS.grpcLingerMs, () => this.#abandonAll());
    await Promise.all([...connections, ...strangers].map(({ closed }) => closed));
    timer[Symbol.dispose]();
    this.#abandonAll();
  }

  #abandonAll(): void {
    for (const connection of this.#connections) connection.abandon();
    for (const socket of this.#sockets) socket.destroy();
  }

  #arrived(socket: Socket): void {
    socket.on("error", () => undefined);
    if (this.#isClosing || socket.remoteAddress === undefined) {
      socket.destroy();
      return;
    }
    if (!this.#newcomers.begin(socket, this.connectionCount)) return;
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    if (this.#door.isPairing) this.#door.enter(socket, "pairing");
    else this.#door.enter(socket, this.#mayRenew(socket) ? "renewal" : "strict");
  }

  /** Devices are expected whose certificates have run out, and one from there was turned away just now. */
  #mayRenew(socket: Socket): boolean {
    return this.#options.isReadmitting?.() === true && this.#newcomers.hasFailed(socket);
  }

  /** A bug of ours in here costs this connection, not the process. */
  #guarded(socket: TLSSocket, work: () => void): void {
    socket.on("error", () => undefined);
    try {
      work();
    } catch (failure) {
      this.#options.logger.error("grpc-newcomer-failed", {
        error: failure instanceof Error ? failure.message : "unknown",
      });
      socket.destroy();
    }
  }

  #secured(socket: TLSSocket, context: TlsContext): void {
    const certificate = socket.getPeerX509Certificate();
    const isForPairing = context === "pairing" && socket.alpnProtocol !== "h2";
    const isFit = isForPairing ? socket.alpnProtocol !== false : this.#isDevice(socket, context);
    if (certificate === undefined || !isFit || this.#isClosing) {
      socket.destroy();
      return;
    }
    const { remoteAddress: host = "", remotePort: port = 0 } = socket;
    const handshake = { certificates: [copyOf(certificate.raw)], context, remote: { host, port } };
    if (isForPairing) this.#stranger(socket, handshake);
    else this.#device(socket, handshake);
  }

  /** Whether it may speak HTTP/2, as far as TLS can say: no stranger may, be a pairing window open or not. */
  #isDevice(socket: TLSSocket, context: TlsContext): boolean {
    if (socket.alpnProtocol !== "h2") return false;
    return socket.authorized || context === "renewal" || (context === "pairing" && this.#mayRenew(socket));
  }

  #device(socket: TLSSocket, handshake: GrpcHandshake): void {
    this.#newcomers.end(keyOf(socket), "done");
    const verdict = this.#judge(handshake, this.#options.admit);
    if (verdict.kind === "admitted") this.#accept(socket, handshake.remote, verdict);
    else this.#refuse(socket, verdict.error);
  }

  #stranger(socket: TLSSocket, handshake: GrpcHandshake): void {
    const { certificates: peerCertificates, remote } = handshake;
    const binding = { peerCertificates, tlsExporter: tlsExporter(socket) };
    this.#newcomers.end(keyOf(socket), "done");
    const { admitPairing, clock } = this.#options;
    const verdict = admitPairing && this.#judge(handshake, admitPairing);
    if (verdict?.kind !== "admitted") {
      this.#newcomers.counters.refused += 1;
      socket.destroy();
      return;
    }
    this.#newcomers.counters.admitted += 1;
    const connection = new TcpPairingConnection({ socket, remote, clock, ...binding });
    this.#strangers.add(connection);
    void connection.closed.then(() => this.#strangers.delete(connection));
    verdict.accept?.(connection);
  }

  #judge<Verdict>(handshake: GrpcHandshake, admit: (handshake: GrpcHandshake) => Verdict): Verdict | Refused {
    try {
      return admit(handshake);
    } catch (failure) {
      this.#options.logger.error("admission-failed", {
        error: failure instanceof Error ? failure.message : "unknown",
      });
      const error = new GatehouseError("quic.not-admitted", "the gatehouse could not check this device");
      return { kind: "refused", error };
    }
  }

  #accept(
    socket: TLSSocket,
    remote: TcpAddress,
    { accept }: Extract<GrpcAdmission<Cause>, { readonly kind: "admitted" }>,
  ): void {
    const { clock, logger, closing, onHandling } = this.#options;
    this.#newcomers.counters.admitted += 1;
    const connection = new GrpcConnection<Cause>({ socket, remote, clock, logger, closing, onHandling });
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
    accept?.(connection);
  }

  /** Says why, reads nothing, and is gone. */
  #refuse(socket: TLSSocket, error: GatehouseError): void {
    this.#newcomers.counters.refused += 1;
    socket.end(refusal(error));
    const linger = this.#options.clock.setTimer(LIMITS.grpcLingerMs, () => socket.destroy());
    socket.once("close", () => linger[Symbol.dispose]());
  }
}
