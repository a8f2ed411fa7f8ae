import { LIMITS, utf8 } from "../core/index.ts";
import type { NativeConfig, Quiche } from "./native.ts";

/** One certificate with its key: PKCS#8 and X.509 in PEM. P-256 or Ed25519. */
export interface TlsIdentity {
  readonly keyPem: string;
  readonly certificatePem: string;
}

/**
 * How the peer's certificate is treated.
 * - `strict`: BoringSSL verifies chain, dates, usage and name constraints against `caPem`, and (servers) requires a
 *   client certificate: a stranger never gets past the handshake.
 * - `danger-any-key`: anything passes, possession of the key is still proven; for pairing only, where the pairing
 *   protocol authenticates the key.
 */
export type PeerVerification = { kind: "strict"; caPem: string } | { kind: "danger-any-key" };

export interface TransportOptions {
  readonly role: "client" | "server";
  readonly identity: TlsIdentity;
  readonly verification: PeerVerification;
  /** Silence after which the connection is given up; default `LIMITS.idleMs`. */
  readonly idleMs?: number;
  /** Resumed connections may carry early data (RFC 8446 §2.3): no protection from replay, so not for everything. */
  readonly earlyData: "allowed" | "never";
  /** In order of preference (RFC 7301). */
  readonly alpn: readonly string[];
}

/** Fits the common path of 1500 bytes with room for tunnels; quiche 0.18 has no path MTU discovery. */
const DATAGRAM_BYTES_MAX = 1_350;
/**
 * Credit for the whole connection that never binds: quiche 0.18 neither returns the credit of reset streams nor repeats
 * a lost MAX_DATA, so a real bound would stall a lossy connection. Memory is bounded by streams × stream window.
 */
const CONNECTION_CREDIT_BYTES = 2 ** 50;
const SIGNAL_BYTES_MAX = 64;

/**
 * Paths of one connection, at 24 KiB each: every address that the peer ever came from takes one for good, so a connection is
 * replaced long before they run out (`LIMITS.connectionPaths`). It bounds the ids that the peer may hand us as well.
 */
export const PATHS_MAX = 64;

/** A new TLS context: its ticket keys are its own, so no ticket crosses from one to another. */
export function transportConfig(quiche: Quiche, options: TransportOptions): NativeConfig {
  const isLenient = options.verification.kind === "danger-any-key";
  const config = quiche.Config.withBoringSslCtx(
    true,
    isLenient,
    options.verification.kind === "strict" ? utf8(options.verification.caPem) : null,
    [utf8(options.identity.keyPem)],
    [utf8(options.identity.certificatePem)],
    null,
  );
  config.setApplicationProtos([...options.alpn]);
  config.setMaxIdleTimeout(options.idleMs ?? LIMITS.idleMs);
  config.setMaxSendUdpPayloadSize(DATAGRAM_BYTES_MAX);
  config.setInitialMaxData(CONNECTION_CREDIT_BYTES);
  config.setMaxConnectionWindow(CONNECTION_CREDIT_BYTES);
  config.setInitialMaxStreamDataBidiLocal(LIMITS.streamWindowBytes);
  config.setInitialMaxStreamDataBidiRemote(LIMITS.streamWindowBytes);
  config.setMaxStreamWindow(LIMITS.streamWindowBytes);
  // Only clients open streams: one for each call.
  config.setInitialMaxStreamsBidi(options.role === "server" ? LIMITS.callsPerConnection : 0);
  // The server has one for what it says of the connection itself.
  config.setInitialMaxStreamsUni(options.role === "server" ? 0 : 1);
  config.setInitialMaxStreamDataUni(options.role === "server" ? 0 : SIGNAL_BYTES_MAX);
  config.setActiveConnectionIdLimit(PATHS_MAX);
  if (options.earlyData === "allowed") config.enableEarlyData();
  // CUBIC and Reno halve the window at every loss: at 2 % and 50 ms both end at four packets, 40 calls a second where BBR,
  // which goes by the rate that arrives, makes 470. The library's own pacing only stamps packets with times that nothing
  // here could keep (see `Pacer`); CUBIC without it stamps them from stale samples and runs away.
  config.setCcAlgorithmName("bbr");
  config.enablePacing(false);
  return config;
}
