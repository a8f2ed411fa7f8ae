import { GatehouseError, isGatehouseError, LIMITS } from "../core/index.ts";
import { type ClientConnectionOptions, GrpcClientConnection } from "./client-connection.ts";
import { readFarewell } from "./farewell.ts";
import { refusalIn } from "./first-frame.ts";
import { dialTls, type TlsDialOptions } from "./tls-dial.ts";

export interface GrpcConnectOptions
  extends Omit<TlsDialOptions, "alpn">,
    Pick<ClientConnectionOptions, "closing"> {
  /** A fresh connection is wanted: the server stops, or has had enough of this one. Calls under way go on. */
  readonly onMoveOn?: ((reason: "going-away" | "recycle") => void) | undefined;
  /** A further check of the server, after TLS's own; throws a `GatehouseError` to refuse it. */
  readonly checkPeer?: (handshake: { readonly certificates: readonly Uint8Array[] }) => void;
}

/** A connection of this process's making. */
export interface GrpcClient extends AsyncDisposable {
  readonly connection: GrpcClientConnection;
  /** DER: what the server has proven the key of. */
  readonly peerCertificates: readonly Uint8Array[];
  /** From the first packet until the server had let this device in. */
  readonly handshakeMs: number;
  /** TCP cannot move: asks for another connection in its place. */
  migrate(): Promise<void>;
}

/**
 * Connects, checks the server, and waits for its first frame: by then it has let this device in, or has said why not.
 * @throws what `dialTls` throws, verdicts aside; the code that the gatehouse refuses with, such as `device.revoked`
 */
export async function connectGrpc(options: GrpcConnectOptions): Promise<GrpcClient> {
  const { clock, serverName, closing, onMoveOn, checkPeer, address, signal } = options;
  const { timeoutMs = LIMITS.handshakeMs } = options;
  const startedMs = clock.monotonicMs();
  const { socket, peerCertificates } = await dialTls({ ...options, alpn: "h2" }).catch((failure: unknown) => {
    throw unverified(failure);
  });
  const end = (error: GatehouseError): unknown => socket.destroy(error);
  const cancel = (): unknown => end(new GatehouseError("rpc.cancelled", "connecting was cancelled"));
  const leftMs = Math.max(1, startedMs + timeoutMs - clock.monotonicMs());
  using _timer = clock.setTimer(leftMs, () => end(timedOut(timeoutMs)));
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    if (signal?.aborted === true) cancel();
    checkPeer?.({ certificates: peerCertificates });
    const refusal = await refusalIn(socket, address);
    if (refusal !== undefined) throw refusedWith(refusal, closing);
  } catch (failure) {
    socket.destroy();
    throw failure;
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
  const onGoingAway = (): void => onMoveOn?.("going-away");
  const connection = new GrpcClientConnection({ socket, serverName, closing, onGoingAway, clock });
  const handshakeMs = clock.monotonicMs() - startedMs;
  return {
    ...{ connection, peerCertificates, handshakeMs },
    migrate: async () => onMoveOn?.("recycle"),
    [Symbol.asyncDispose]: async () => {
      connection.close(new GatehouseError("quic.closed", "this side closed the connection"));
      await connection.closed;
    },
  };
}

/** What is said before the server has proven who it is anybody may have said: it is no verdict on this device. */
function unverified(failure: unknown): unknown {
  const isVerdict =
    isGatehouseError(failure, "quic.not-admitted") || isGatehouseError(failure, "certificate.expired");
  if (!isVerdict) return failure;
  return new GatehouseError("quic.closed", `the handshake was broken off: ${failure.message}`, {
    hint: "check that this is the gatehouse's port, and what is between",
    cause: failure,
  });
}

function refusedWith(debugData: Uint8Array, closing: GrpcConnectOptions["closing"]): GatehouseError {
  const said = readFarewell(debugData);
  if (said === undefined) return new GatehouseError("quic.not-admitted", "the gatehouse refused this device");
  return closing?.(said.code, said.sentence) ?? new GatehouseError(said.code, said.sentence);
}

function timedOut(timeoutMs: number): GatehouseError {
  return new GatehouseError("quic.timed-out", `no answer over TCP within ${timeoutMs} ms`);
}
