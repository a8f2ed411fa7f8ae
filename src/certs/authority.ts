import { equalBytes, GatehouseError, hex, type UnixMs } from "../core/index.ts";
import { verifyP256 } from "../crypto/index.ts";
import { type Certificate, parseCertificate } from "./certificate.ts";
import { DerReader, implicit, TAG } from "./der.ts";
import { DER } from "./profile.ts";

/** What is needed of an authority's certificate to judge its leaves. */
export interface Authority {
  /** The whole Name element. */
  readonly subject: Uint8Array;
  /** Hex. */
  readonly keyId: string;
  readonly spki: Uint8Array;
  readonly notBefore: UnixMs;
  readonly notAfter: UnixMs;
}

/** Authorities are few and asked for at every handshake, and their bytes do not change. */
const known = new WeakMap<Uint8Array, Authority>();

/**
 * Reads an authority's certificate and holds it to the profile: self-signed, path length 0, P-256. `der` must not
 * change afterwards: the answer is remembered for it.
 *
 * @throws certificate.malformed, certificate.wrong-profile
 */
export function authorityOf(der: Uint8Array): Authority {
  const remembered = known.get(der);
  if (remembered !== undefined) return remembered;
  const certificate = parseCertificate(der);
  const { subject, spki, notBefore, notAfter } = certificate;
  const constraints = certificate.extensions.get(DER.basicConstraints);
  const isAuthority =
    constraints?.isCritical === true &&
    hex(constraints.value) === DER.authorityWithoutIntermediates &&
    equalBytes(subject, certificate.issuer) &&
    isSignedBy(certificate, spki);
  if (!isAuthority) {
    throw new GatehouseError("certificate.wrong-profile", "the authority's certificate does not fit");
  }
  const authority = { subject, keyId: keyIdOf(certificate), spki, notBefore, notAfter };
  known.set(der, authority);
  return authority;
}

/** Whether the P-256 key `spki` signed `certificate`. */
export function isSignedBy({ algorithm, signed, signature }: Certificate, spki: Uint8Array): boolean {
  return hex(algorithm) === DER.ecdsaWithSha256 && verifyP256(spki, signed, signature);
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
  if (keyId === undefined) {
    throw new GatehouseError("certificate.wrong-profile", "the authority's certificate names no key");
  }
  return keyId;
}

function attempt<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
