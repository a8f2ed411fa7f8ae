import type { KeyObject, webcrypto } from "node:crypto";
import { hex, LIMITS, type Random, type UnixMs } from "../core/index.ts";
import { exportTlsKey, tlsPublicKey } from "../crypto/index.ts";
import type { DeviceId } from "../identity/index.ts";
import { nameConstraints } from "./authority.ts";
import { CA_LIFETIME_MS, dateOf, OID } from "./profile.ts";
import { loadX509, SIGNING, signingKey, verifyingKey } from "./x509.ts";

const SERIAL_BYTES = 16;

export interface CaCertificateInput {
  /** P-256 private key of the authority. */
  readonly key: KeyObject;
  readonly gatehouseId: DeviceId;
  /** Counts from 1; generations differ in their subject names, so that each leaf has one issuer. */
  readonly generation: number;
  readonly now: UnixMs;
  readonly random: Random;
}

/** A self-signed authority for one gatehouse's devices; DER. */
export async function createCaCertificate(input: CaCertificateInput): Promise<Uint8Array> {
  const { key, gatehouseId, generation, now, random } = input;
  const publicKey = await verifyingKey(tlsPublicKey(key));
  const x509 = loadX509();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(random),
    name: [{ O: ["Gatehouse"] }, { OU: [`generation ${generation}`] }, { CN: [gatehouseId] }],
    notBefore: dateOf(now - LIMITS.certificateBackdateMs),
    notAfter: dateOf(now + CA_LIFETIME_MS),
    signingAlgorithm: SIGNING,
    keys: { privateKey: await privateKeyOf(key), publicKey },
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      new x509.Extension(OID.nameConstraints, true, new Uint8Array(nameConstraints(gatehouseId))),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  return new Uint8Array(certificate.rawData);
}

/** Positive and never zero; hex. */
export function randomSerial(random: Random): string {
  const bytes = random.bytes(SERIAL_BYTES);
  // A leading one-bit would make the number negative, leading zeros would make it short.
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return hex(bytes);
}

export async function privateKeyOf(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const pkcs8 = exportTlsKey(key);
  try {
    return await signingKey(pkcs8);
  } finally {
    pkcs8.fill(0);
  }
}
