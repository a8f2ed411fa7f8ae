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
  config.setInitialMaxStreamsUni(0);
  config.setInitialMaxStreamDataUni(0);
  // Loss-based control falls to a window of four packets at 2 % loss and 50 ms; BBR does not.
  config.setCcAlgorithmName("bbr");
  config.enablePacing(false);
  return config;
}
