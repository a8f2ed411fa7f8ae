import { equalBytes, fromUtf8, GatehouseError, hex, type UnixMs } from "../core/index.ts";
import { sha256 } from "../crypto/index.ts";
import type { DeviceId } from "../identity/index.ts";
import { type Authority, authorityKeyIdOf, authorityOf, isSignedByAuthority } from "./authority.ts";
import { type Certificate, parseCertificate } from "./certificate.ts";
import { DerReader, implicit, TAG } from "./der.ts";
import { DER, deviceOfUri, gatehouseHost, type LeafUsage } from "./profile.ts";

export interface InspectOptions {
  /** DER of the authorities to accept; not to be changed afterwards. */
  readonly caCertificates: readonly Uint8Array[];
  readonly gatehouseId: DeviceId;
  readonly usage: LeafUsage;
  readonly now: UnixMs;
  /**
   * `ignored` is dangerous: it takes what has run out, or is not valid yet. For a device that its owner readmits by the key
   * that is pinned, and for nothing else.
   */
  readonly dates?: "enforced" | "ignored";
}

export interface LeafFacts {
  readonly deviceId: DeviceId;
  /** SHA-256 of the SubjectPublicKeyInfo. */
  readonly spkiSha256: Uint8Array;
  /** Lower-case hex. */
  readonly serial: string;
  readonly notBefore: UnixMs;
  readonly expiresAt: UnixMs;
}

const URI = implicit(6);
const DNS = implicit(2);

/**
 * Holds a peer's chain (DER, leaf first) against the whole profile: TLS libraries accept more than we issue (no or two
 * extended key usages, absent or non-critical names, extra names, an intermediate authority). What every leaf has the
 * same is compared byte by byte. Synchronous, about 0.2 ms.
 *
 * @throws certificate.malformed, certificate.untrusted, certificate.expired, certificate.wrong-profile
 */
export function inspectLeaf(chain: readonly Uint8Array[], options: InspectOptions): LeafFacts {
  const [der, ...more] = chain;
  if (der === undefined || more.length > 0) throw wrongProfile("it is not exactly one");
  const leaf = parseCertificate(der);
  const authority = issuerOf(leaf, options);
  if (options.dates !== "ignored") {
    checkDates(leaf, options.now);
    checkDates(authority, options.now);
  }
  checkFixedParts(leaf, options.usage);
  return { deviceId: subjectOf(leaf, options), ...factsOf(leaf) };
}

/** What a certificate says, unverified: for one that is ours already. @throws certificate.malformed */
export function certificateFacts(der: Uint8Array): Omit<LeafFacts, "deviceId"> {
  return factsOf(parseCertificate(der));
}

function factsOf({ spki, serial, notBefore, notAfter }: Certificate): Omit<LeafFacts, "deviceId"> {
  return { spkiSha256: sha256(spki), serial, notBefore, expiresAt: notAfter };
}

/** Directly signed by one of our authorities: there is no chain to build. */
function issuerOf(leaf: Certificate, { caCertificates, gatehouseId }: InspectOptions): Authority {
  const keyId = authorityKeyIdOf(leaf);
  const issuer = caCertificates
    .map((der) => authorityOf(der, gatehouseId))
    .find(({ subject, keyId: own }) => own === keyId && equalBytes(subject, leaf.issuer));
  if (issuer === undefined || !isSignedByAuthority(leaf, issuer)) {
    throw new GatehouseError("certificate.untrusted", "the certificate was not issued by this gatehouse");
  }
  return issuer;
}

function checkDates({ notBefore, notAfter }: Pick<Certificate, "notBefore" | "notAfter">, now: UnixMs): void {
  if (now < notBefore) {
    throw new GatehouseError("certificate.expired", "the certificate is not valid yet", {
      hint: "compare the clocks of both machines",
    });
  }
  if (now >= notAfter) {
    const day = new Date(notAfter).toISOString().slice(0, 10);
    throw new GatehouseError("certificate.expired", `the certificate ran out on ${day}`);
  }
}

function checkFixedParts({ version, subject, extensions }: Certificate, usage: LeafUsage): void {
  if (version !== 3) throw wrongProfile("it is not of version 3");
  if (hex(subject) !== DER.emptyName) throw wrongProfile("its subject is not empty");
  const constraints = extensions.get(DER.basicConstraints);
  if (constraints?.isCritical !== true || hex(constraints.value) !== DER.notAuthority) {
    throw wrongProfile("it may be an authority");
  }
  const keyUsage = extensions.get(DER.keyUsage);
  if (keyUsage?.isCritical !== true || hex(keyUsage.value) !== DER.digitalSignature) {
    throw wrongProfile("its key usage is not digital signature alone");
  }
  const extendedKeyUsage = extensions.get(DER.extendedKeyUsage);
  if (extendedKeyUsage === undefined || hex(extendedKeyUsage.value) !== DER.usage[usage]) {
    throw wrongProfile(`it is not for a ${usage} alone`);
  }
  // These three, the names and the authority's key.
  if (extensions.size !== 5) throw wrongProfile("its extensions are not the ones of a leaf");
}

function subjectOf({ extensions }: Certificate, { gatehouseId, usage }: InspectOptions): DeviceId {
  const extension = extensions.get(DER.subjectAlternativeName);
  if (extension?.isCritical !== true) throw wrongProfile("its names are not critical");
  const [uri, ...others] = namesOf(extension.value);
  const deviceId = uri?.tag === URI ? deviceOfUri(gatehouseId, uri.text) : undefined;
  const expected = usage === "server" ? [{ tag: DNS, text: gatehouseHost(gatehouseId) }] : [];
  const isExpected =
    others.length === expected.length &&
    expected.every(({ tag, text }, at) => others[at]?.tag === tag && others[at].text === text);
  if (deviceId === undefined || !isExpected) {
    throw wrongProfile("its names are not those of a device of this gatehouse");
  }
  if (usage === "server" && deviceId !== gatehouseId) throw wrongProfile("it is not the gatehouse's own");
  return deviceId;
}

/** The URI and DNS names in order; nothing else can stand among them. */
function namesOf(value: Uint8Array): readonly { readonly tag: number; readonly text: string }[] {
  try {
    const outer = new DerReader(value);
    const list = outer.inside(TAG.sequence);
    outer.end();
    const names = [];
    while (!list.isAtEnd) {
      const tag = list.has(URI) ? URI : DNS;
      names.push({ tag, text: fromUtf8(list.content(tag)) });
    }
    return names;
  } catch {
    return [];
  }
}

function wrongProfile(why: string): GatehouseError<"certificate.wrong-profile"> {
  return new GatehouseError("certificate.wrong-profile", `the certificate does not fit: ${why}`);
}
