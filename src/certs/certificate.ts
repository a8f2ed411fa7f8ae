import { fromUtf8, GatehouseError, hex, LIMITS, MalformedBytes, type UnixMs, unixMs } from "../core/index.ts";
import { DerReader, explicit, TAG } from "./der.ts";

/** The fields of a certificate (RFC 5280 §4.1) as they stand there, nothing verified; views of the input. */
export interface Certificate {
  /** The whole tbsCertificate element: what the issuer signs. */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  /** The signature's AlgorithmIdentifier, whole; the same inside and outside. */
  readonly algorithm: Uint8Array;
  /** 3 for every certificate of today. */
  readonly version: number;
  /** Lower-case hex. */
  readonly serial: string;
  /** The whole Name elements. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly notBefore: UnixMs;
  readonly notAfter: UnixMs;
  /** The whole SubjectPublicKeyInfo element. */
  readonly spki: Uint8Array;
  /** By object identifier, as the hex of its content bytes. */
  readonly extensions: ReadonlyMap<string, Extension>;
}

export interface Extension {
  readonly isCritical: boolean;
  /** DER inside of the OCTET STRING. */
  readonly value: Uint8Array;
}

/** Reads one certificate in strict DER. @throws certificate.malformed for anything else, trailing bytes included */
export function parseCertificate(der: Uint8Array): Certificate {
  try {
    if (der.length > LIMITS.certificateBytes) throw new MalformedBytes("too large");
    return readCertificate(der);
  } catch (cause) {
    throw new GatehouseError("certificate.malformed", "the certificate is malformed", { cause });
  }
}

function readCertificate(der: Uint8Array): Certificate {
  const outer = new DerReader(der);
  const parts = outer.inside(TAG.sequence);
  outer.end();
  const signed = parts.whole(TAG.sequence);
  const algorithm = parts.whole(TAG.sequence);
  const signature = parts.bits();
  parts.end();
  const fields = readFields(signed);
  if (hex(fields.algorithm) !== hex(algorithm)) throw new MalformedBytes("two signature algorithms");
  return { ...fields, signed, signature };
}

function readFields(signed: Uint8Array): Omit<Certificate, "signed" | "signature"> {
  const body = new DerReader(signed).inside(TAG.sequence);
  const version = body.has(explicit(0)) ? readVersion(body.inside(explicit(0))) : 1;
  const serial = hex(body.unsigned());
  const algorithm = body.whole(TAG.sequence);
  const issuer = body.whole(TAG.sequence);
  const validity = body.inside(TAG.sequence);
  const [notBefore, notAfter] = [readTime(validity), readTime(validity)];
  validity.end();
  const subject = body.whole(TAG.sequence);
  const spki = body.whole(TAG.sequence);
  const extensions = body.has(explicit(3)) ? readExtensions(body.inside(explicit(3))) : new Map();
  body.end();
  return { version, serial, algorithm, issuer, notBefore, notAfter, subject, spki, extensions };
}

function readVersion(reader: DerReader): number {
  const [value = 0] = reader.unsigned();
  reader.end();
  return value + 1;
}

function readTime(reader: DerReader): UnixMs {
  const isShort = reader.has(TAG.utcTime);
  const text = fromUtf8(reader.content(isShort ? TAG.utcTime : TAG.generalizedTime));
  if (!(isShort ? /^\d{12}Z$/ : /^\d{14}Z$/).test(text)) throw new MalformedBytes("not a date");
  // RFC 5280 §4.1.2.5.1: two-digit years from 50 on are of the last century.
  const digits = isShort ? (text < "50" ? "20" : "19") + text : text;
  const iso = digits.replace(/^(....)(..)(..)(..)(..)(..)Z$/, "$1-$2-$3T$4:$5:$6.000Z");
  const at = new Date(iso);
  if (Number.isNaN(at.getTime()) || at.toISOString() !== iso) throw new MalformedBytes("no such date");
  return unixMs(at.getTime());
}

function readExtensions(wrapper: DerReader): ReadonlyMap<string, Extension> {
  const list = wrapper.inside(TAG.sequence);
  wrapper.end();
  const extensions = new Map<string, Extension>();
  while (!list.isAtEnd) {
    const entry = list.inside(TAG.sequence);
    const type = hex(entry.content(TAG.objectIdentifier));
    const isCritical = entry.has(TAG.boolean) && readTrue(entry);
    const value = entry.content(TAG.octetString);
    entry.end();
    if (extensions.has(type)) throw new MalformedBytes("an extension twice");
    extensions.set(type, { isCritical, value });
  }
  return extensions;
}

/** DER has one true, and leaves out what is false by default. */
function readTrue(entry: DerReader): true {
  if (hex(entry.content(TAG.boolean)) !== "ff") throw new MalformedBytes("not the one encoding of true");
  return true;
}
