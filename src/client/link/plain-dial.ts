import { gatehouseHost } from "../../certs/index.ts";
import { type Clock, firstOf, isGatehouseError, LIMITS, type Logger, type Random } from "../../core/index.ts";
import { connectGrpc } from "../../grpc/index.ts";
import { ClientTls, connectQuic, type PeerVerification } from "../../quic/index.ts";
import type { CallStream } from "../../rpc/index.ts";
import { parseAddress } from "../address.ts";
import type { Remote } from "../remotes.ts";
import { closing } from "./dialer.ts";
import { REQUESTS_ALPN } from "./trust.ts";
import type { Wire } from "./wire.ts";

export interface PlainDialOptions {
  readonly identity: { readonly keyPem: string; readonly certificatePem: string };
  readonly verification: PeerVerification;
  /** Throws a `GatehouseError` to refuse the server. */
  readonly checkPeer: (certificates: readonly Uint8Array[]) => void;
  /** At most, and by default, `LIMITS.handshakeMs`. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** One connection for one purpose: nothing is resumed, and nothing takes its place. */
export interface PlainConnection extends AsyncDisposable {
  /** DER; the leaf's key is proven. */
  readonly peerCertificates: readonly Uint8Array[];
  openStream(): CallStream;
}

/** Over QUIC, or over TCP where that does not stand soon. @throws GatehouseError why QUIC could not be, or TCP where there is no QUIC */
export async function dialPlainly(
  { address, grpc, quic, gatehouseId }: Pick<Remote, "address" | "grpc" | "quic" | "gatehouseId">,
  options: PlainDialOptions,
): Promise<PlainConnection> {
  const timeoutMs = Math.min(options.timeoutMs ?? LIMITS.handshakeMs, LIMITS.handshakeMs);
  const common = { ...options, timeoutMs, serverName: gatehouseHost(gatehouseId) };
  const dials: Record<Wire, (signal: AbortSignal) => Promise<PlainConnection>> = {
    quic: async (signal) => {
      const tls = await ClientTls.create({ ...options, alpn: REQUESTS_ALPN });
      const dialled = await connectQuic({
        ...{ ...common, tls, signal, address: parseAddress(address) },
        checkPeer: ({ certificates }) => options.checkPeer(certificates),
      });
      return plain(dialled, dialled.connection.peerCertificates, dialled.connection);
    },
    grpc: async (signal) => {
      const dialled = await connectGrpc({
        ...{
          ...common,
          signal,
          closing,
          address: parseAddress(grpc === undefined || grpc === "off" ? address : grpc),
        },
        checkPeer: ({ certificates }) => options.checkPeer(certificates),
      });
      return plain(dialled, dialled.peerCertificates, dialled.connection);
    },
  };
  const wires: readonly Wire[] = [
    ...(quic === "off" ? [] : (["quic"] as const)),
    ...(grpc === "off" ? [] : (["grpc"] as const)),
  ];
  let verdict: unknown;
  try {
    return await firstOf(wires, options, async (wire, signal) => {
      try {
        return await dials[wire](signal);
      } catch (failure) {
        if (wire === "grpc" && !SILENT.some((code) => isGatehouseError(failure, code))) verdict ??= failure;
        throw failure;
      }
    });
  } catch (failure) {
    // What the gatehouse says over TCP is more than that UDP gets no answer.
    throw SILENT.some((code) => isGatehouseError(failure, code)) ? (verdict ?? failure) : failure;
  }
}

/** Nobody has said anything. */
const SILENT = [
  "quic.unreachable",
  "quic.timed-out",
  "quic.unsupported-platform",
  "quic.closed",
  "rpc.cancelled",
] as const;

function plain(
  dialled: AsyncDisposable,
  peerCertificates: readonly Uint8Array[],
  connection: { openStream(): CallStream },
): PlainConnection {
  return {
    peerCertificates,
    openStream: () => connection.openStream(),
    [Symbol.asyncDispose]: async () => await dialled[Symbol.asyncDispose](),
  };
}
