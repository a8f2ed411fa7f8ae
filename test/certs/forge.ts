import "reflect-metadata";
import { type KeyObject, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { createCaCertificate, gatehouseHost, issueLeaf, type LeafUsage } from "../../src/certs/index.ts";
import { unixMs } from "../../src/core/index.ts";
import { exportTlsKey, generateTlsKey, tlsPublicKey } from "../../src/crypto/index.ts";
import { type DeviceId, DeviceIdentity } from "../../src/identity/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";

/** An authority's own key in a test's hands, to issue what Gatehouse never would. */

export const NOW = unixMs(1_790_000_000_000);
export const DAY_MS = 86_400_000;
export const random = new SeededRandom(20);

const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

export interface TestAuthority {
  readonly gatehouse: DeviceIdentity;
  readonly key: KeyObject;
  readonly der: Uint8Array;
}

export async function authority(gatehouse = DeviceIdentity.generate(random)): Promise<TestAuthority> {
  const key = generateTlsKey(random);
  const der = await createCaCertificate({ key, gatehouseId: gatehouse.id, generation: 1, now: NOW, random });
  return { gatehouse, key, der };
}

/** As Gatehouse issues it. */
export async function leaf(
  { gatehouse, key, der }: TestAuthority,
  device: DeviceIdentity,
  usage: LeafUsage,
): Promise<Uint8Array> {
  const issued = await issueLeaf({
    ...{ usage, gatehouseId: gatehouse.id, deviceId: device.id, spki: device.tls.spki },
    ...{ caCertificate: der, caKey: key, now: NOW, random },
  });
  return issued.der;
}

/** What to do otherwise than the profile says. */
export interface Forgery {
  readonly subject?: string;
  readonly extensions?: readonly x509.Extension[];
  readonly notBefore?: number;
  readonly notAfter?: number;
  readonly signingKey?: KeyObject;
  readonly spki?: Uint8Array;
}

export async function forge(
  ca: TestAuthority,
  device: DeviceIdentity,
  forgery: Forgery,
): Promise<Uint8Array> {
  const issuer = new x509.X509Certificate(ca.der).subjectName.toJSON();
  const pkcs8 = exportTlsKey(forgery.signingKey ?? ca.key);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      ...{ serialNumber: "4001", subject: forgery.subject ?? "", issuer, signingAlgorithm: P256 },
      notBefore: new Date(forgery.notBefore ?? NOW - DAY_MS),
      notAfter: new Date(forgery.notAfter ?? NOW + DAY_MS),
      publicKey: await webcrypto.subtle.importKey("spki", forgery.spki ?? device.tls.spki, P256, true, [
        "verify",
      ]),
      signingKey: await webcrypto.subtle.importKey("pkcs8", pkcs8, P256, false, ["sign"]),
      extensions: [...(forgery.extensions ?? profile(ca, device.id, "device"))],
    },
    webcrypto,
  );
  return new Uint8Array(certificate.rawData);
}

export const parts = {
  constraints: (isCritical = true) => new x509.BasicConstraintsExtension(false, undefined, isCritical),
  authority: () => new x509.BasicConstraintsExtension(true, undefined, true),
  keyUsage: (isCritical = true) =>
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, isCritical),
  keyUsageMore: () =>
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyCertSign, true),
  uses: (...usages: LeafUsage[]) =>
    new x509.ExtendedKeyUsageExtension(
      usages.map((usage) => (usage === "device" ? "1.3.6.1.5.5.7.3.2" : "1.3.6.1.5.5.7.3.1")),
    ),
  names: (names: x509.JsonGeneralNames, isCritical = true) =>
    new x509.SubjectAlternativeNameExtension(names, isCritical),
  issuer(ca: TestAuthority) {
    const keyId = new x509.X509Certificate(ca.der).getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;
    return new x509.AuthorityKeyIdentifierExtension(keyId ?? "", false);
  },
  subjectKey: () => new x509.SubjectKeyIdentifierExtension("00".repeat(20)),
} as const;

export function uriOf(ca: TestAuthority, id: DeviceId): { readonly type: "url"; readonly value: string } {
  return { type: "url", value: `spiffe://${gatehouseHost(ca.gatehouse.id)}/device/${id}` };
}

export function dnsOf(ca: TestAuthority): { readonly type: "dns"; readonly value: string } {
  return { type: "dns", value: gatehouseHost(ca.gatehouse.id) };
}

/** The extensions of a good leaf, in order. */
export function profile(ca: TestAuthority, id: DeviceId, usage: LeafUsage): readonly x509.Extension[] {
  const names = usage === "server" ? [uriOf(ca, id), dnsOf(ca)] : [uriOf(ca, id)];
  return [
    ...[parts.constraints(), parts.keyUsage(), parts.uses(usage)],
    ...[parts.names(names), parts.issuer(ca)],
  ];
}

/** `profile` with the extension at `at` replaced, or left out. */
export function profileWith(
  ca: TestAuthority,
  id: DeviceId,
  at: number,
  replacement?: x509.Extension,
): readonly x509.Extension[] {
  return profile(ca, id, "device").flatMap((extension, index) =>
    index === at ? (replacement ?? []) : extension,
  );
}

/** A second authority with the first one's name, made by somebody else. */
export async function impostor(ca: TestAuthority): Promise<TestAuthority> {
  return await authority(ca.gatehouse);
}

/** An intermediate under `ca`, issuing in its own name. */
export async function intermediate(
  ca: TestAuthority,
): Promise<{ readonly der: Uint8Array; readonly key: KeyObject }> {
  const key = generateTlsKey(random);
  const extensions = [
    new x509.BasicConstraintsExtension(true, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    new x509.SubjectKeyIdentifierExtension("11".repeat(20)),
    parts.issuer(ca),
  ];
  const options = { subject: "CN=intermediate", extensions, spki: tlsPublicKey(key) };
  return { der: await forge(ca, ca.gatehouse, options), key };
}
