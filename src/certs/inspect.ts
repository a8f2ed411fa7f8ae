import { X509Certificate } from "node:crypto";
import { equalBytes, GatehouseError, LIMITS, type UnixMs, unixMs } from "../core/index.ts";
import { sha256 } from "../crypto/index.ts";
import type { DeviceId } from "../identity/index.ts";
import { deviceOfUri, gatehouseHost, type LeafUsage, OID, USAGE_OID } from "./profile.ts";
import { x509 } from "./x509.ts";

export interface InspectOptions {
  /** DER of the authorities to accept. */
  readonly caCertificates: readonly Uint8Array[];
  readonly gatehouseId: DeviceId;
  readonly usage: LeafUsage;
  readonly now: UnixMs;
}

export interface LeafFacts {
  readonly deviceId: DeviceId;
  /** SHA-256 of the SubjectPublicKeyInfo. */
  readonly spkiSha256: Uint8Array;
  /** Lower-case hex. */
  readonly serial: string;
  readonly expiresAt: UnixMs;
}

/** What a leaf has, and nothing else. */
const EXTENSIONS: readonly string[] = [
  OID.basicConstraints,
  OID.keyUsage,
  OID.extendedKeyUsage,
  OID.subjectAlternativeName,
  OID.authorityKeyIdentifier,
];

/**
 * Holds a peer's chain (DER, leaf first) against the whole profile: TLS libraries accept more than we issue (no or two
 * extended key usages, absent or non-critical names, extra names, an intermediate authority). Synchronous.
 *
 * @throws certificate.malformed, certificate.untrusted, certificate.expired, certificate.wrong-profile
 */
export function inspectLeaf(chain: readonly Uint8Array[], options: InspectOptions): LeafFacts {
  const [der, ...more] = chain;
  if (der === undefined || more.length > 0) throw wrongProfile("not exactly one certificate");
  if (der.length > LIMITS.certificateBytes) throw malformed();
  const { signed, leaf } = parse(der);
  checkIssuer(signed, leaf, options.caCertificates);
  checkDates(leaf, options.now);
  checkExtensions(leaf, options.usage);
  const spki = new Uint8Array(leaf.publicKey.rawData);
  return {
    deviceId: subjectOf(leaf, options),
    spkiSha256: sha256(spki),
    serial: leaf.serialNumber.toLowerCase(),
    expiresAt: unixMs(leaf.notAfter.getTime()),
  };
}

interface Parsed {
  /** OpenSSL's reading, for the signature. */
  readonly signed: X509Certificate;
  /** The ASN.1 library's reading, for everything else. */
  readonly leaf: x509.X509Certificate;
}

function parse(der: Uint8Array): Parsed {
  try {
    const leaf = new x509.X509Certificate(der);
    if (!equalBytes(new Uint8Array(leaf.rawData), der)) throw new RangeError("trailing bytes");
    return { signed: new X509Certificate(der), leaf };
  } catch (cause) {
    throw malformed(cause);
  }
}

/** Directly signed by one of our authorities: there is no chain to build. */
function checkIssuer(
  signed: X509Certificate,
  leaf: x509.X509Certificate,
  caCertificates: readonly Uint8Array[],
): void {
  const identifier = leaf.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId;
  for (const der of caCertificates) {
    const ca = new x509.X509Certificate(der);
    if (
      ca.subject !== leaf.issuer ||
      identifier !== ca.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId
    )
      continue;
    if (identifier !== undefined && signed.verify(new X509Certificate(der).publicKey)) return;
  }
  throw new GatehouseError("certificate.untrusted", "the certificate was not issued by this gatehouse");
}

function checkDates({ notBefore, notAfter }: x509.X509Certificate, now: UnixMs): void {
  if (now < notBefore.getTime()) {
    throw new GatehouseError("certificate.expired", "the certificate is not valid yet", {
      hint: "compare the clocks of both machines",
    });
  }
  if (now >= notAfter.getTime()) {
    throw new GatehouseError(
      "certificate.expired",
      `the certificate ran out on ${notAfter.toISOString().slice(0, 10)}`,
    );
  }
}

function checkExtensions(leaf: x509.X509Certificate, usage: LeafUsage): void {
  const types = leaf.extensions.map(({ type }) => type);
  if (types.length !== EXTENSIONS.length || !EXTENSIONS.every((type) => types.includes(type))) {
    throw wrongProfile("its extensions are not the ones of a leaf");
  }
  const constraints = leaf.getExtension(x509.BasicConstraintsExtension);
  if (constraints === null || !constraints.critical || constraints.ca)
    throw wrongProfile("it may be an authority");
  const keyUsage = leaf.getExtension(x509.KeyUsagesExtension);
  if (keyUsage === null || !keyUsage.critical || keyUsage.usages !== x509.KeyUsageFlags.digitalSignature) {
    throw wrongProfile("its key usage is not digital signature alone");
  }
  const [use, ...others] = leaf.getExtension(x509.ExtendedKeyUsageExtension)?.usages ?? [];
  if (use !== USAGE_OID[usage] || others.length > 0) throw wrongProfile(`it is not for a ${usage} alone`);
  if (leaf.subject !== "") throw wrongProfile("its subject is not empty");
}

function subjectOf(leaf: x509.X509Certificate, { gatehouseId, usage }: InspectOptions): DeviceId {
  const extension = leaf.getExtension(x509.SubjectAlternativeNameExtension);
  if (extension === null || !extension.critical) throw wrongProfile("its names are not critical");
  const names = extension.names.items.map(({ type, value }) => `${type} ${value}`);
  const uris = extension.names.items.filter(({ type }) => type === "url");
  const deviceId = uris[0] === undefined ? undefined : deviceOfUri(gatehouseId, uris[0].value);
  const expected = usage === "server" ? [`dns ${gatehouseHost(gatehouseId)}`] : [];
  const others = names.filter((name) => !name.startsWith("url "));
  if (deviceId === undefined || uris.length !== 1 || others.join() !== expected.join()) {
    throw wrongProfile("its names are not those of a device of this gatehouse");
  }
  if (usage === "server" && deviceId !== gatehouseId) throw wrongProfile("it is not the gatehouse's own");
  return deviceId;
}

function malformed(cause?: unknown): GatehouseError<"certificate.malformed"> {
  return new GatehouseError("certificate.malformed", "the certificate is malformed", { cause });
}

function wrongProfile(why: string): GatehouseError<"certificate.wrong-profile"> {
  return new GatehouseError("certificate.wrong-profile", `the certificate does not fit: ${why}`);
}
