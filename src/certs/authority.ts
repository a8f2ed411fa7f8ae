import type { KeyObject } from "node:crypto";
import { concat, equalBytes, GatehouseError, hex, LIMITS, type UnixMs, utf8 } from "../core/index.ts";
import { importTlsPublicKey, sha256, verifyP256 } from "../crypto/index.ts";
import type { DeviceId } from "../identity/index.ts";
import { type Certificate, parseCertificate } from "./certificate.ts";
import { DerReader, element, explicit, implicit, TAG } from "./der.ts";
import { DER, gatehouseHost } from "./profile.ts";

/** What is needed of an authority's certificate to judge its leaves. */
export interface Authority {
  /** The whole Name element. */
  readonly subject: Uint8Array;
  /** Hex. */
  readonly keyId: string;
  readonly key: KeyObject;
  readonly notBefore: UnixMs;
  readonly notAfter: UnixMs;
  /** Value of the name constraints, hex. */
  readonly constraints: string;
}

/** Authorities are few and asked for at every handshake, and their bytes do not change. */
const known = new WeakMap<Uint8Array, Authority>();

/**
 * Reads an authority's certificate and holds it to the profile: self-signed, path length 0, P-256, for the names of one
 * gatehouse. `der` must not change afterwards: the answer is remembered for it.
 *
 * @throws certificate.malformed, certificate.wrong-profile
 */
export function authorityOf(der: Uint8Array, gatehouseId: DeviceId): Authority {
  const authority = known.get(der) ?? readAuthority(der);
  known.set(der, authority);
  if (authority.constraints !== hex(nameConstraints(gatehouseId))) {
    throw wrongAuthority("it is another gatehouse's");
  }
  return authority;
}

/** Checks an authority's certificate by itself. @throws certificate.malformed, certificate.wrong-profile */
export function checkCaCertificate(der: Uint8Array, gatehouseId: DeviceId): void {
  authorityOf(der, gatehouseId);
}

/**
 * The value of an authority's name constraints, DER. RFC 5280 §4.2.1.10: a DNS constraint covers its subdomains, a URI
 * constraint without a leading dot that host alone.
 */
export function nameConstraints(gatehouseId: DeviceId): Uint8Array {
  const host = utf8(gatehouseHost(gatehouseId));
  const dns = element(TAG.sequence, element(implicit(2), host));
  const uri = element(TAG.sequence, element(implicit(6), host));
  return element(TAG.sequence, element(explicit(0), dns, uri));
}

function readAuthority(der: Uint8Array): Authority {
  const certificate = parseCertificate(der);
  const { subject, spki, notBefore, notAfter, extensions } = certificate;
  const basic = extensions.get(DER.basicConstraints);
  if (basic?.isCritical !== true || hex(basic.value) !== DER.authorityWithoutIntermediates) {
    throw wrongAuthority("it is no authority without intermediates");
  }
  const key = importTlsPublicKey(spki);
  if (key === undefined || !equalBytes(subject, certificate.issuer) || !isSignedBy(certificate, key)) {
    throw wrongAuthority("it is not self-signed");
  }
  const names = extensions.get(DER.nameConstraints);
  if (names?.isCritical !== true) throw wrongAuthority("it is for all names");
  const keyId = keyIdOf(certificate);
  return { subject, keyId, key, notBefore, notAfter, constraints: hex(names.value) };
}

/** Digests of leaves whose signature was found good, by authority. */
const verified = new WeakMap<Authority, Set<string>>();

/**
 * Whether `authority` signed `leaf`. A device that comes again shows the same certificate, and checking its signature is
 * most of what admission costs: a good one is remembered. Dates and names are the caller's to look at, each time.
 */
export function isSignedByAuthority(leaf: Certificate, authority: Authority): boolean {
  const digests = verified.get(authority) ?? new Set();
  verified.set(authority, digests);
  const digest = hex(sha256(concat(leaf.signed, leaf.algorithm, leaf.signature)));
  if (digests.has(digest)) return true;
  if (!isSignedBy(leaf, authority.key)) return false;
  const [oldest] = digests;
  if (oldest !== undefined && digests.size >= LIMITS.verifiedSignatures) digests.delete(oldest);
  digests.add(digest);
  return true;
}

/** Whether the P-256 key `key` signed `certificate`. */
export function isSignedBy({ algorithm, signed, signature }: Certificate, key: KeyObject): boolean {
  return hex(algorithm) === DER.ecdsaWithSha256 && verifyP256(key, signed, signature);
}

/** Hex of the authority key identifier's key; `undefined` when there is none, or names and numbers beside it. */
export function authorityKeyIdOf({ extensions }: Certificate): string | undefined {
  const extension = extensions.get(DER.authorityKeyIdentifier);
  if (extension === undefined) return undefined;
  return attempt(() => {
    const outer = new DerReader(extension.value);
    const fields = outer.inside(TAG.sequence);
    const keyId = fields.content(implicit(0));
    fields.end();
    outer.end();
    return hex(keyId);
  });
}

function keyIdOf({ extensions }: Certificate): string {
  const extension = extensions.get(DER.subjectKeyIdentifier);
  const keyId = extension && attempt(() => hex(new DerReader(extension.value).content(TAG.octetString)));
  if (keyId === undefined) throw wrongAuthority("it names no key");
  return keyId;
}

function wrongAuthority(why: string): GatehouseError<"certificate.wrong-profile"> {
  return new GatehouseError("certificate.wrong-profile", `the authority's certificate does not fit: ${why}`);
}

function attempt<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
