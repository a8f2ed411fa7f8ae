import type { KeyObject } from "node:crypto";
import { LIMITS, type Random, type UnixMs, unixMs } from "../core/index.ts";
import type { DeviceId, DeviceIdentity } from "../identity/index.ts";
import { privateKeyOf, randomSerial } from "./ca-certificate.ts";
import { decodePem } from "./pem.ts";
import { DAY_MS, dateOf, deviceUri, gatehouseHost, type LeafUsage, USAGE_OID } from "./profile.ts";
import { loadX509, SIGNING, signingKey, verifyingKey, type X509 } from "./x509.ts";

export interface LeafInput {
  readonly usage: LeafUsage;
  readonly gatehouseId: DeviceId;
  readonly deviceId: DeviceId;
  /** SubjectPublicKeyInfo of the key to certify, DER; its possession was proven. */
  readonly spki: Uint8Array;
  /** The authority, DER, and its P-256 key. */
  readonly caCertificate: Uint8Array;
  readonly caKey: KeyObject;
  readonly now: UnixMs;
  /** Default `LIMITS.certificateLifetimeMs`. */
  readonly lifetimeMs?: number;
  readonly random: Random;
}

export interface IssuedLeaf {
  readonly der: Uint8Array;
  /** Lower-case hex. */
  readonly serial: string;
  readonly expiresAt: UnixMs;
}

/** Certifies a device's key, or the gatehouse's own, after the profile. */
export async function issueLeaf(input: LeafInput): Promise<IssuedLeaf> {
  const { now, caKey, spki, random, lifetimeMs = LIMITS.certificateLifetimeMs } = input;
  const x509 = loadX509();
  const ca = new x509.X509Certificate(input.caCertificate);
  const serial = randomSerial(random);
  const notAfter = dateOf(now + lifetimeMs);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial,
    subject: "",
    issuer: ca.subjectName.toJSON(),
    notBefore: dateOf(now - LIMITS.certificateBackdateMs),
    notAfter,
    signingAlgorithm: SIGNING,
    publicKey: await verifyingKey(spki),
    signingKey: await privateKeyOf(caKey),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([USAGE_OID[input.usage]], false),
      new x509.SubjectAlternativeNameExtension(alternativeNames(input), true),
      new x509.AuthorityKeyIdentifierExtension(authorityKeyId(ca), false),
    ],
  });
  return { der: new Uint8Array(certificate.rawData), serial, expiresAt: unixMs(notAfter.getTime()) };
}

/**
 * A certificate for the pairing connection: it only carries the TLS key into the handshake, nobody trusts it. DER.
 * The pairing protocol binds the key to the identity.
 */
export async function selfSignedLeaf(
  identity: DeviceIdentity,
  now: UnixMs,
  random: Random,
): Promise<Uint8Array> {
  const pkcs8 = decodePem(identity.tls.privateKeyPem);
  try {
    const certificate = await loadX509().X509CertificateGenerator.createSelfSigned({
      serialNumber: randomSerial(random),
      name: [{ CN: ["gatehouse pairing"] }],
      notBefore: dateOf(now - LIMITS.certificateBackdateMs),
      notAfter: dateOf(now + DAY_MS),
      signingAlgorithm: SIGNING,
      keys: { privateKey: await signingKey(pkcs8), publicKey: await verifyingKey(identity.tls.spki) },
    });
    return new Uint8Array(certificate.rawData);
  } finally {
    pkcs8.fill(0);
  }
}

function alternativeNames({ usage, gatehouseId, deviceId }: LeafInput): X509.JsonGeneralNames {
  const uri = { type: "url", value: deviceUri(gatehouseId, deviceId) } as const;
  return usage === "server" ? [uri, { type: "dns", value: gatehouseHost(gatehouseId) }] : [uri];
}

function authorityKeyId(ca: X509.X509Certificate): string {
  const identifier = ca.getExtension(loadX509().SubjectKeyIdentifierExtension);
  if (identifier === null) throw new TypeError("issueLeaf: the authority has no subject key identifier");
  return identifier.keyId;
}
