/**
 * A device's own certificate at one gatehouse, renewed before it runs out, and after.
 *
 * The wish is stored before it is sent, the answer before it is used: whatever breaks in between, the same request under the
 * same id is sent again and answered the same, and the old certificate stays good until the new one has been used.
 *
 * An answer is believed by the signature of the identity that pairing pinned, over the key that the server showed on this very
 * connection: an authority alone, be it stolen, makes this device trust no other. That is also why a device whose
 * certificate has run out may talk to a server that it cannot verify by an authority: it says nothing there that is secret
 * (a certificate request and a nonce), and whoever is in the middle cannot sign.
 */
import {
  certificateFacts,
  certificatePem,
  createTlsRequest,
  gatehouseHost,
  inspectLeaf,
  spkiOf,
} from "../certs/index.ts";
import {
  ByteWriter,
  type Clock,
  equalBytes,
  GatehouseError,
  isGatehouseError,
  LIMITS,
  type Logger,
  type Random,
} from "../core/index.ts";
import { LABELS, sha256, verifyLabelled } from "../crypto/index.ts";
import { type gatehouse, METHODS } from "../gen/index.ts";
import type { DeviceIdentity, TlsIdentity } from "../identity/index.ts";
import { ClientTls, connectQuic, type PeerVerification, type QuicClientConnection } from "../quic/index.ts";
import { Caller } from "../rpc/index.ts";
import { parseAddress } from "./address.ts";
import type { Remote, Remotes, RenewalWish } from "./remotes.ts";

const REQUESTS_ALPN = "gatehouse/1";
const NONCE_BYTES = 32;
const REQUEST_ID_BYTES = 16;
/** The gatehouse remembers its answers for a day. */
const WISH_MS = LIMITS.rememberedRepliesMs - 3_600_000;
/** The gatehouse lets an expired certificate through TLS only for who has just failed there. */
const LATE_ATTEMPTS = 2;

export interface RenewalParts {
  readonly identity: DeviceIdentity;
  /** The key of the identity that a certificate is for. @throws identity.damaged when it is gone */
  readonly keyFor: (certificate: Uint8Array) => TlsIdentity;
  /** Another key for the identity, stored. */
  readonly addKey: () => Promise<TlsIdentity>;
  readonly remotes: Remotes;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface RenewalOptions {
  /** Certifies another key, which takes the place of the one in use. */
  readonly newKey?: boolean | undefined;
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * When a certificate is to be renewed: at half of its life, a tenth earlier or later, so that devices that were paired
 * together do not come together. The same for the same certificate each time. Unix ms.
 */
export function renewalTime(certificate: Uint8Array): number {
  const { serial, notBefore, expiresAt } = certificateFacts(certificate);
  // The first digits are less random: the number must not be negative.
  const chance = Number.parseInt(serial.slice(-8), 16) / 2 ** 32;
  return notBefore + (expiresAt - notBefore) * (0.4 + 0.2 * chance);
}

/**
 * Has this device's certificate at `remote` renewed, and stores it. Answers the entry as it is then.
 * @throws certificate.expired when the gatehouse does not let it in any more; device.*, quic.*, rpc.*, file.io
 */
export async function renewCertificate(
  parts: RenewalParts,
  remote: Remote,
  options: RenewalOptions = {},
): Promise<Remote> {
  const wish = await wishFor(parts, remote, options);
  const isLate = remote.certificateExpiresAt <= parts.clock.now();
  const answer = isLate
    ? await askLate(parts, remote, wish, options)
    : await ask(parts, remote, wish, options);
  const { certificate, caCertificates, expiresAt: certificateExpiresAt } = answer;
  return await parts.remotes.change(remote.gatehouseId, ({ renewal: _done, ...current }) => ({
    ...current,
    ...{ certificate, caCertificates, certificateExpiresAt },
  }));
}

/** The one that is stored, when its answer may still be had; else a new one, stored. */
async function wishFor(
  { identity, keyFor, addKey, remotes, clock, random }: RenewalParts,
  remote: Remote,
  { newKey = false }: RenewalOptions,
): Promise<RenewalWish> {
  const inUse = keyFor(remote.certificate);
  const { renewal: kept } = remote;
  if (kept !== undefined && clock.now() - kept.askedAt < WISH_MS) {
    const isNewKey = !equalBytes(kept.spkiSha256, sha256(inUse.spki));
    if (isNewKey === newKey) return kept;
  }
  const tls = newKey ? await addKey() : inUse;
  const wish: RenewalWish = {
    requestId: random.bytes(REQUEST_ID_BYTES),
    nonce: random.bytes(NONCE_BYTES),
    certificateRequest: await createTlsRequest({ publicKey: identity.publicKey, tls }),
    spkiSha256: sha256(tls.spki),
    askedAt: clock.now(),
  };
  await remotes.change(remote.gatehouseId, (current) => ({ ...current, renewal: wish }));
  return wish;
}

interface RenewedCertificate {
  readonly certificate: Uint8Array;
  readonly caCertificates: readonly Uint8Array[];
  readonly expiresAt: Remote["certificateExpiresAt"];
}

async function ask(
  parts: RenewalParts,
  remote: Remote,
  wish: RenewalWish,
  options: RenewalOptions,
): Promise<RenewedCertificate> {
  const caPem = remote.caCertificates.map(certificatePem).join("");
  return await askOver({ kind: "strict", caPem }, parts, remote, wish, options);
}

/** With a certificate that has run out. */
async function askLate(
  parts: RenewalParts,
  remote: Remote,
  wish: RenewalWish,
  options: RenewalOptions,
): Promise<RenewedCertificate> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await askOver({ kind: "danger-any-key" }, parts, remote, wish, options);
    } catch (failure) {
      const isRefused = REFUSED.some((code) => isGatehouseError(failure, code));
      if (!isRefused) throw failure;
      if (attempt === LATE_ATTEMPTS) throw expired(remote, failure);
    }
  }
}

/** What TLS, or the gatehouse after it, says of a certificate that has run out. */
const REFUSED = ["certificate.expired", "certificate.untrusted", "quic.not-admitted"] as const;

async function askOver(
  verification: PeerVerification,
  parts: RenewalParts,
  remote: Remote,
  wish: RenewalWish,
  options: RenewalOptions,
): Promise<RenewedCertificate> {
  const { clock, random } = parts;
  await using quic = await dial(verification, parts, remote, options);
  using caller = new Caller({ clock, random });
  const { certificateRequest, nonce, requestId } = wish;
  const answer = await caller.unary(
    () => quic.connection.openStream(),
    METHODS.Device.Renew,
    { certificateRequest, nonce },
    { requestId, timeoutMs: options.timeoutMs ?? LIMITS.callTimeoutMs, ...signalOf(options) },
  );
  const [shown = new Uint8Array(0)] = quic.connection.peerCertificates;
  return checked(answer, { remote, wish, serverSpkiSha256: sha256(spkiOf(shown)), clock, parts });
}

async function dial(
  verification: PeerVerification,
  { keyFor, clock, random, logger }: RenewalParts,
  { address, certificate, gatehouseId, caCertificates }: Remote,
  { timeoutMs, signal }: RenewalOptions,
): Promise<QuicClientConnection> {
  const isStrict = verification.kind === "strict";
  return await connectQuic({
    ...{
      clock,
      random,
      logger,
      signal,
      address: parseAddress(address),
      serverName: gatehouseHost(gatehouseId),
    },
    timeoutMs: Math.min(timeoutMs ?? LIMITS.handshakeMs, LIMITS.handshakeMs),
    tls: await ClientTls.create({
      identity: {
        keyPem: keyFor(certificate).privateKeyPem,
        certificatePem: certificatePem(certificate),
      },
      ...{ verification, alpn: REQUESTS_ALPN },
    }),
    checkPeer: ({ certificates }) => {
      if (isStrict)
        inspectLeaf(certificates, { caCertificates, gatehouseId, usage: "server", now: clock.now() });
    },
  });
}

interface Expectation {
  readonly remote: Remote;
  readonly wish: RenewalWish;
  readonly serverSpkiSha256: Uint8Array;
  readonly clock: Clock;
  readonly parts: RenewalParts;
}

/** @throws quic.wrong-server unless the pinned gatehouse signed exactly this, for exactly this device and key. */
function checked(
  { certificate, caCertificates, signature }: gatehouse.v1.DeviceRenewResponse,
  { remote, wish, serverSpkiSha256, clock, parts }: Expectation,
): RenewedCertificate {
  const { gatehouseId, identityKey } = remote;
  if (caCertificates.length === 0 || caCertificates.length > LIMITS.pairingCaCertificates)
    throw wrongAnswer("it names no authority, or too many");
  const signed = new ByteWriter().prefixed(wish.nonce).prefixed(serverSpkiSha256).prefixed(certificate);
  for (const authority of caCertificates) signed.prefixed(authority);
  if (!verifyLabelled(identityKey, LABELS.renewal, signed.finish(), signature))
    throw wrongAnswer("the gatehouse that was paired with did not sign it");
  const own = caCertificates.map((der) => new Uint8Array(der));
  const facts = inspectLeaf([new Uint8Array(certificate)], {
    ...{ caCertificates: own, gatehouseId, usage: "device", now: clock.now() },
  });
  if (facts.deviceId !== parts.identity.id || !equalBytes(facts.spkiSha256, wish.spkiSha256))
    throw wrongAnswer("it certifies another device or key");
  return { certificate: new Uint8Array(certificate), caCertificates: own, expiresAt: facts.expiresAt };
}

function signalOf({ signal }: RenewalOptions): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

function wrongAnswer(why: string): GatehouseError<"quic.wrong-server"> {
  return new GatehouseError("quic.wrong-server", `the answer to the renewal does not fit: ${why}`);
}

function expired({ name, deviceName, certificateExpiresAt }: Remote, cause: unknown): GatehouseError {
  const day = new Date(certificateExpiresAt).toISOString().slice(0, 10);
  return new GatehouseError(
    "certificate.expired",
    `this device's certificate at ${name} ran out on ${day}, and ${name} does not renew it by itself any more`,
    { hint: `ask its owner to run: gatehouse device readmit ${deviceName}`, cause },
  );
}
