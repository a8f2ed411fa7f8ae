import {
  certificatePem,
  createTlsRequest,
  gatehouseHost,
  inspectLeaf,
  selfSignedLeaf,
} from "../certs/index.ts";
import {
  type Clock,
  GatehouseError,
  isGatehouseError,
  LIMITS,
  type Logger,
  type Random,
  silentLogger,
  systemClock,
  systemRandom,
  type UnixMs,
} from "../core/index.ts";
import { ensurePrivateDir, homeLayout } from "../files/index.ts";
import { type DeviceId, DeviceIdentity } from "../identity/index.ts";
import {
  isPairingUri,
  joinPairing,
  PAIRING_ALPN,
  PairingInitiator,
  type PairingResult,
  type PairingSecret,
  parsePairingCode,
  parsePairingUri,
} from "../pairing/index.ts";
import { connectQuic, type QuicClientConnection, type QuicConnectOptions } from "../quic/index.ts";
import { parseAddress } from "./address.ts";
import { type Remote, Remotes } from "./remotes.ts";

/** TLS needs a name; before pairing nobody knows the gatehouse's, and the certificate proves nothing yet. */
const UNKNOWN_HOST = "pairing.gatehouse.internal";

export interface JoinOptions {
  /** This device's install; made when missing. */
  readonly home: string;
  /** HOST:PORT, or what the gatehouse's QR code says. */
  readonly target: string;
  /** Six digits; not with a URI. */
  readonly code?: string | undefined;
  /** What the gatehouse shall call this device; 1 to 64 bytes. */
  readonly name: string;
  /** What this device is, such as `cli`. */
  readonly kind: string;
  readonly platform: string;
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
}

export interface Joined {
  readonly gatehouse: { readonly name: string; readonly deviceId: DeviceId };
  readonly device: { readonly id: DeviceId; readonly name: string; readonly role: string };
  readonly certificate: { readonly expiresAt: UnixMs };
}

/**
 * Pairs this home with a gatehouse: both prove the code to each other, the gatehouse certifies this device's own key, both
 * pin the other. What came of it is stored before the gatehouse hears that it was.
 *
 * @throws pairing.*, quic.*, usage.bad-argument, identity.damaged, home.bad-permissions
 */
export async function joinGatehouse(options: JoinOptions): Promise<Joined> {
  const { clock = systemClock, random = systemRandom, logger = silentLogger } = options;
  const { address, secret } = parseTarget(options);
  const layout = homeLayout(options.home);
  await ensurePrivateDir(layout.root);
  const identity = await DeviceIdentity.openOrCreate(layout.identityDir, { random });
  const certificate = await selfSignedLeaf(identity, clock.now(), random);
  const timeoutMs = Math.min(options.timeoutMs ?? LIMITS.handshakeMs, LIMITS.handshakeMs);
  await using quic = await dial({
    ...{ clock, random, logger, timeoutMs, alpn: PAIRING_ALPN, address: parseAddress(address) },
    serverName: secret.mode === "uri" ? gatehouseHost(secret.gatehouseId) : UNKNOWN_HOST,
    identity: { keyPem: identity.tls.privateKeyPem, certificatePem: certificatePem(certificate) },
    verification: { kind: "danger-any-key" },
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const [peerCertificate] = quic.connection.peerCertificates;
  if (peerCertificate === undefined)
    throw new GatehouseError("quic.wrong-server", "the server showed no certificate");
  const { name, kind, platform } = options;
  const initiator = new PairingInitiator({
    ...{ secret, identity, certificate, peerCertificate, name, kind, platform, clock, random },
    certificateRequest: await createTlsRequest(identity),
  });
  const signal = options.signal ?? new AbortController().signal;
  const joined = await joinPairing(quic.connection.openStream(), initiator, { signal });
  const remote = await Remotes.of(options.home).add(remoteOf(joined.result, address, clock.now()));
  await joined.acknowledge();
  return {
    gatehouse: { name: remote.name, deviceId: remote.gatehouseId },
    device: { id: identity.id, name: remote.deviceName, role: remote.role },
    certificate: { expiresAt: remote.certificateExpiresAt },
  };
}

/** While no window is open the gatehouse does not even offer the pairing protocol. */
async function dial(options: QuicConnectOptions): Promise<QuicClientConnection> {
  try {
    return await connectQuic(options);
  } catch (failure) {
    if (!isGatehouseError(failure, "quic.not-admitted")) throw failure;
    throw new GatehouseError("pairing.closed", "no pairing window is open there", {
      hint: "open one on the gatehouse: gatehouse pair open",
      cause: failure,
    });
  }
}

function parseTarget({ target, code }: JoinOptions): {
  readonly address: string;
  readonly secret: PairingSecret;
} {
  if (isPairingUri(target)) {
    const { address, secret, gatehouseId } = parsePairingUri(target);
    return { address, secret: { mode: "uri", secret, gatehouseId } };
  }
  parseAddress(target);
  if (code !== undefined) return { address: target, secret: { mode: "code", code: parsePairingCode(code) } };
  throw new GatehouseError("pairing.bad-code", "pairing by address needs the code", {
    hint: "the gatehouse shows it: gatehouse pair open",
  });
}

function remoteOf(result: PairingResult, address: string, now: UnixMs): Remote {
  const { gatehouseId, gatehouseName, gatehouseKey, certificate, caCertificates, deviceName, role } = result;
  const { expiresAt } = inspectLeaf([certificate], { caCertificates, gatehouseId, usage: "device", now });
  return {
    ...{ name: gatehouseName, gatehouseId, identityKey: gatehouseKey, address },
    ...{ caCertificates, certificate, deviceName, role, pairedAt: now, certificateExpiresAt: expiresAt },
  };
}
