import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { type Clock, copyOf, GatehouseError, isGatehouseError, LIMITS } from "../core/index.ts";
import type { TcpAddress } from "./connection.ts";
import type { TlsIdentity } from "./tls-door.ts";

/**
 * How the server's certificate is treated. `strict`: verified against `caPem`, for the name asked for. `danger-any-key`:
 * anything passes, possession of the key is still proven; whoever asks for that authenticates the key by other means.
 */
export type ServerVerification =
  | { readonly kind: "strict"; readonly caPem: string }
  | { readonly kind: "danger-any-key" };

export interface TlsDialOptions {
  /** A name or an IP address. A name's addresses are tried one after another, a quarter of a second apart. */
  readonly address: TcpAddress;
  /** DNS name in the server's certificate; also sent as SNI. */
  readonly serverName: string;
  readonly alpn: string;
  readonly identity: TlsIdentity;
  readonly verification: ServerVerification;
  /** Default `LIMITS.handshakeMs`. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly clock: Clock;
}

export interface DialledTls {
  /** Nothing was read from it yet. It has a listener for `error`. */
  readonly socket: TLSSocket;
  /** DER, the leaf alone; the server has proven its key. */
  readonly peerCertificates: readonly Uint8Array[];
}

/**
 * TLS 1.3 to a server, with a certificate of ours. The server judges it after this resolves: a refusal is what is read first.
 * @throws quic.unreachable, quic.timed-out, quic.bad-address, quic.wrong-server, quic.not-admitted, quic.closed, rpc.cancelled
 */
export async function dialTls(options: TlsDialOptions): Promise<DialledTls> {
  const { signal, clock, address, timeoutMs = LIMITS.handshakeMs } = options;
  if (signal?.aborted === true) throw cancelled();
  const socket = connect(connectionOptions(options));
  const end = (error: GatehouseError): unknown => socket.destroy(error);
  const cancel = (): unknown => end(cancelled());
  signal?.addEventListener("abort", cancel, { once: true });
  using _timer = clock.setTimer(timeoutMs, () => end(timedOut(address, timeoutMs)));
  try {
    await secured(socket);
  } catch (failure) {
    throw dialError(failure, address);
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
  const certificate = socket.getPeerX509Certificate();
  if (certificate !== undefined && socket.alpnProtocol === options.alpn) {
    return { socket, peerCertificates: [copyOf(certificate.raw)] };
  }
  socket.destroy();
  throw new GatehouseError("quic.wrong-server", "what answers there does not speak this protocol", {
    hint: HINT,
  });
}

function connectionOptions({
  address: { host, port },
  serverName: servername,
  alpn,
  identity,
  verification,
}: TlsDialOptions): ConnectionOptions {
  const isStrict = verification.kind === "strict";
  return {
    ...{ host, port, servername, ALPNProtocols: [alpn], minVersion: "TLSv1.3" },
    ...{ key: identity.keyPem, cert: identity.certificatePem, rejectUnauthorized: isStrict },
    ...(isStrict ? { ca: verification.caPem } : {}),
  };
}

/** Later errors end the socket; `close` tells whoever uses it. */
function secured(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.setNoDelay(true);
    socket.on("error", reject);
    socket.once("close", () => reject(new GatehouseError("quic.closed", "the connection was closed")));
    socket.once("secureConnect", resolve);
  });
}

/** TLS's alerts as OpenSSL names them: what the server says of this device's certificate. */
const REFUSALS: ReadonlyMap<string, string> = new Map([
  ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "certificate required"],
  ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "unknown certificate authority"],
  ["ERR_SSL_TLSV1_ALERT_ACCESS_DENIED", "access denied"],
  ["ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL", "protocol not offered"],
  ["ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE", "bad certificate"],
  ["ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN", "certificate not acceptable"],
  ["ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED", "certificate revoked"],
  ["ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", "unsupported certificate usage"],
]);

/** What the network says before anybody answers. */
const UNREACHABLE = new Set([
  ...[
    "ECONNREFUSED",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "ENETDOWN",
    "EADDRNOTAVAIL",
    "ETIMEDOUT",
    "EACCES",
    "EPERM",
  ],
]);
const NO_ADDRESS = new Set([
  "ENOTFOUND",
  "EAI_AGAIN",
  "EAI_FAIL",
  "EAI_NODATA",
  "ERR_SOCKET_BAD_PORT",
  "EINVAL",
]);
const LOST = new Set(["ECONNRESET", "EPIPE"]);
const HINT = "check the address, that the gatehouse runs, and that TCP gets through";

/** Why a dial failed, in our words. What is none of the network's doing is what verification said of the server. */
export function dialError(failure: unknown, address: TcpAddress): GatehouseError {
  if (isGatehouseError(failure)) return failure;
  const { code = "" } = innermost(failure);
  const options = { hint: HINT, cause: failure };
  const where = address.host.includes(":")
    ? `[${address.host}]:${address.port}`
    : `${address.host}:${address.port}`;
  if (UNREACHABLE.has(code)) {
    return new GatehouseError("quic.unreachable", `nothing answers at ${where} over TCP`, options);
  }
  if (NO_ADDRESS.has(code)) {
    return new GatehouseError("quic.bad-address", `no address found for ${address.host}`, {
      hint: "check the name, or use the IP address",
      cause: failure,
    });
  }
  const refusal = REFUSALS.get(code);
  if (refusal !== undefined) {
    return new GatehouseError("quic.not-admitted", `the gatehouse refused this device: ${refusal}`, {
      hint: "pair this device first: gatehouse pair join HOST:PORT",
      cause: failure,
    });
  }
  if (code === "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED") {
    return new GatehouseError(
      "certificate.expired",
      "the gatehouse refused this device: certificate expired",
      {
        hint: "ask the gatehouse's owner to readmit this device, or compare the clocks of both machines",
        cause: failure,
      },
    );
  }
  if (LOST.has(code)) return new GatehouseError("quic.closed", `the connection to ${where} broke`, options);
  return new GatehouseError(
    "quic.wrong-server",
    "the server's certificate was refused, or it speaks no TLS 1.3",
    {
      hint: "this is not the gatehouse you paired with, or the clocks of both machines differ",
      cause: failure,
    },
  );
}

/** Of several addresses' failures, the first. */
function innermost(failure: unknown): NodeJS.ErrnoException {
  if (failure instanceof AggregateError) return innermost(failure.errors[0]);
  return failure instanceof Error ? failure : new Error("unknown");
}

function timedOut({ host, port }: TcpAddress, timeoutMs: number): GatehouseError {
  return new GatehouseError(
    "quic.timed-out",
    `${host}:${port} did not answer over TCP within ${timeoutMs} ms`,
    {
      hint: HINT,
    },
  );
}

function cancelled(): GatehouseError {
  return new GatehouseError("rpc.cancelled", "connecting was cancelled");
}
