import { GatehouseError, isGatehouseError } from "../core/index.ts";
import { type GrpcAdmission, type GrpcHandshake, GrpcServer } from "../grpc/index.ts";
import {
  type CloseCause,
  closeError,
  dialable,
  formatAddress,
  QuicServer,
  type ServerTls,
  type SocketAddress,
} from "../quic/index.ts";
import type { DoorConnection } from "./door-connection.ts";
import type { Side } from "./side.ts";
import type { Effects } from "./storage.ts";

/** Requests; pairing has its own. */
const REQUESTS_ALPN = "gatehouse/1";

export interface DoorsOptions extends Effects {
  readonly listen: readonly SocketAddress[];
  /** Where to serve gRPC over TCP; by default where QUIC is served over UDP. */
  readonly grpc: readonly SocketAddress[] | "off" | undefined;
  readonly serverTls: ServerTls;
  /** Who judges, at any moment. */
  readonly side: () => Side;
  readonly onHandling: (connection: DoorConnection | undefined) => void;
}

/** HOST:PORT to dial; undefined where there is no such door. One of them is there. */
export interface DoorAddresses {
  readonly quic: string | undefined;
  readonly grpc: string | undefined;
}

/** The sockets that devices come to, one server for each wire. */
export class Doors implements AsyncDisposable {
  readonly #quic: QuicServer | undefined;
  readonly #grpc: GrpcServer<CloseCause> | undefined;

  private constructor(quic: QuicServer | undefined, grpc: GrpcServer<CloseCause> | undefined) {
    this.#quic = quic;
    this.#grpc = grpc;
  }

  /**
   * Where the QUIC library has no binary, gRPC is served alone, and the log says so.
   * @throws quic.address-in-use, quic.bad-address; quic.unsupported-platform where gRPC is off then
   */
  static async open(options: DoorsOptions): Promise<Doors> {
    const quic = await openQuic(options);
    try {
      return new Doors(quic, await openGrpc(options, quic?.addresses ?? []));
    } catch (failure) {
      await quic?.[Symbol.asyncDispose]();
      throw failure;
    }
  }

  addresses(from: "this-machine" | "network"): DoorAddresses {
    const [quic, grpc] = [this.#quic, this.#grpc].map(
      (server) => server && formatAddress(dialable(server.addresses, from)),
    );
    return { quic, grpc };
  }

  /**
   * Until disposed, strangers get through TLS on either wire, for pairing and nothing else.
   * @throws TypeError when a window is open already
   */
  openPairing(alpn: string): Disposable {
    const opened = [this.#quic, this.#grpc].map((server) => server?.openPairing(alpn));
    return {
      [Symbol.dispose]: () => {
        for (const window of opened) window?.[Symbol.dispose]();
      },
    };
  }

  /** What came and what became of it; gRPC's in names of their own. */
  get counters(): Readonly<Record<string, number>> {
    const grpc = Object.entries(this.#grpc?.counters ?? {});
    return {
      ...this.#quic?.counters,
      ...Object.fromEntries(grpc.map(([name, value]) => [grpcName(name), value])),
    };
  }

  replaceTls(tls: ServerTls): void {
    this.#quic?.replaceTls(tls);
    this.#grpc?.replaceTls(tls);
  }

  announceShutdown(): void {
    this.#quic?.announceShutdown();
    this.#grpc?.announceShutdown();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#quic?.[Symbol.asyncDispose](), this.#grpc?.[Symbol.asyncDispose]()]);
  }
}

async function openQuic(options: DoorsOptions): Promise<QuicServer | undefined> {
  const { listen, grpc, serverTls, side, onHandling, clock, random, logger } = options;
  try {
    return await QuicServer.listen({
      ...{ listen, alpn: REQUESTS_ALPN, clock, random, logger, onHandling, ...serverTls },
      admit: (handshake) => side().admit(handshake),
      isReadmitting: () => side().isReadmitting,
    });
  } catch (failure) {
    if (!isGatehouseError(failure, "quic.unsupported-platform")) throw failure;
    if (grpc === "off") throw nothingToServe(failure);
    const { message, hint } = failure;
    logger.warn("quic-unavailable", { reason: message, hint });
    return undefined;
  }
}

function nothingToServe(cause: GatehouseError): GatehouseError<"quic.unsupported-platform"> {
  return new GatehouseError("quic.unsupported-platform", `${cause.message}, and gRPC is off`, {
    hint: "serve gRPC in its place: leave --grpc off out, or change the configuration's grpc",
    cause,
  });
}

async function openGrpc(
  { listen, grpc, serverTls, side, onHandling, clock, logger }: DoorsOptions,
  bound: readonly SocketAddress[],
): Promise<GrpcServer<CloseCause> | undefined> {
  if (grpc === "off") return undefined;
  const serve = (addresses: readonly SocketAddress[]): Promise<GrpcServer<CloseCause>> =>
    GrpcServer.listen<CloseCause>({
      ...{ listen: addresses, clock, logger, onHandling, ...serverTls, closing: closeError },
      admit: (handshake) => admitOver(side(), handshake),
      admitPairing: () => side().admitTcpPairing(),
      isReadmitting: () => side().isReadmitting,
    });
  if (grpc !== undefined) return serve(grpc);
  const isChosen = listen.every(({ port }) => port !== 0);
  try {
    return await serve(listen.map(({ host, port }) => ({ host, port: port || portOf(host, bound) })));
  } catch (failure) {
    // The number that the system picked for UDP may be somebody's on TCP.
    if (isChosen || !isGatehouseError(failure, "quic.address-in-use")) throw failure;
    return await serve(listen);
  }
}

function admitOver(side: Side, handshake: GrpcHandshake): GrpcAdmission<CloseCause> {
  return side.admitDevice({ ...handshake, wire: "grpc", isEarlyData: false });
}

function portOf(host: string, bound: readonly SocketAddress[]): number {
  const own = bound.find((address) => address.host === host) ?? bound[0];
  return own?.port ?? 0;
}

function grpcName(name: string): string {
  return `grpc${name.slice(0, 1).toUpperCase()}${name.slice(1)}`;
}
