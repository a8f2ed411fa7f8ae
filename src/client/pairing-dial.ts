import {
  type Clock,
  firstOf,
  GatehouseError,
  isGatehouseError,
  LIMITS,
  type Logger,
  type Random,
} from "../core/index.ts";
import { dialTls, SocketStream, tlsExporter } from "../grpc/index.ts";
import { type ChannelBinding, PAIRING_ALPN, type PairingStream } from "../pairing/index.ts";
import { ClientTls, connectQuic, type SocketAddress, type TlsIdentity } from "../quic/index.ts";

export interface PairingDialOptions {
  /** UDP's port and TCP's. */
  readonly address: SocketAddress;
  readonly serverName: string;
  /** What this device shows: self-signed. */
  readonly identity: TlsIdentity;
  /** Milliseconds left, asked as each wire is begun; no dial takes more than `LIMITS.handshakeMs`. */
  readonly remainingMs: () => number;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** A connection to whoever is at that address, on which nothing was said yet. */
export interface PairingLink extends AsyncDisposable {
  readonly wire: "quic" | "tcp";
  /** DER; its key is proven, and nothing else about it. Undefined when none was shown. */
  readonly peerCertificate: Uint8Array | undefined;
  readonly binding: ChannelBinding;
  /** The one stream of the exchange: call it once. */
  open(): PairingStream;
}

/**
 * QUIC, and TCP a quarter of a second later, or at once when QUIC fails. One link comes of it: the other is dropped unused,
 * since an exchange on each would be two guesses at a code.
 * @throws quic.unreachable, quic.timed-out, quic.bad-address, quic.not-admitted when pairing is not offered there,
 * quic.unsupported-platform, quic.wrong-server, quic.closed, rpc.cancelled
 */
export async function dialPairing(options: PairingDialOptions): Promise<PairingLink> {
  const { signal, clock } = options;
  const settled = new AbortController();
  const failures: Partial<Record<PairingLink["wire"], unknown>> = {};
  const dial = async (wire: PairingLink["wire"], own: AbortSignal): Promise<PairingLink> => {
    try {
      return await (wire === "quic" ? dialQuic : dialTcp)({ ...options, signal: own });
    } catch (failure) {
      failures[wire] = failure;
      // The gatehouse has said that no window is open; TCP would say the same, if it gets through.
      if (wire === "quic" && isGatehouseError(failure, "quic.not-admitted")) settled.abort();
      throw failure;
    }
  };
  try {
    const race = { clock, signal: AbortSignal.any([signal, settled.signal]) };
    return await firstOf(["quic", "tcp"], race, dial);
  } catch {
    if (signal.aborted) throw new GatehouseError("rpc.cancelled", "connecting was cancelled");
    throw mostTelling(failures);
  }
}

/** QUIC's failure, unless TCP's says more: that pairing is not offered there, or anything where QUIC cannot be. */
function mostTelling({ quic, tcp }: Partial<Record<PairingLink["wire"], unknown>>): unknown {
  const isMore =
    isGatehouseError(tcp, "quic.not-admitted") || isGatehouseError(quic, "quic.unsupported-platform");
  return isMore ? (tcp ?? quic) : quic;
}

async function dialQuic(options: PairingDialOptions): Promise<PairingLink> {
  const { identity, ...common } = options;
  const tls = await ClientTls.create({
    ...{ identity, verification: { kind: "danger-any-key" }, alpn: PAIRING_ALPN },
  });
  const dialled = await connectQuic({ ...common, tls, timeoutMs: timeoutOf(options) });
  return {
    ...{ wire: "quic", peerCertificate: dialled.connection.peerCertificates[0], binding: { kind: "none" } },
    open: () => dialled.connection.openStream(),
    [Symbol.asyncDispose]: async () => await dialled[Symbol.asyncDispose](),
  };
}

async function dialTcp(options: PairingDialOptions): Promise<PairingLink> {
  const verification = { kind: "danger-any-key" } as const;
  const dialled = await dialTls({
    ...{ ...options, verification, alpn: PAIRING_ALPN, timeoutMs: timeoutOf(options) },
  });
  const { socket, peerCertificates } = dialled;
  try {
    return {
      ...{ wire: "tcp", peerCertificate: peerCertificates[0] },
      binding: { kind: "tls-exporter", bytes: tlsExporter(socket) },
      open: () => new SocketStream(socket),
      [Symbol.asyncDispose]: async () => void socket.destroy(),
    };
  } catch (failure) {
    socket.destroy();
    throw failure;
  }
}

function timeoutOf({ remainingMs }: PairingDialOptions): number {
  return Math.min(remainingMs(), LIMITS.handshakeMs);
}
