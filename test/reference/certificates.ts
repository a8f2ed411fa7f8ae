/** The certificates of docs/pairing.md: read and held against its tables, and made for the twin's own gatehouse. */
import { equal, fromHex, hex, sha256, utf8 } from "./bytes.ts";
import { bits, bitsOf, der, elements, end, type Node, objectId, only, sequence, take } from "./der.ts";
import { deviceId } from "./identity.ts";
import type { Grant } from "./messages.ts";
import { badMessage, Refused } from "./refused.ts";
import { ECDSA_WITH_SHA256, isSignedByTls, type TlsKey } from "./request.ts";

const BASIC_CONSTRAINTS = "551d13";
const KEY_USAGE = "551d0f";
const EXTENDED_KEY_USAGE = "551d25";
const ALTERNATIVE_NAME = "551d11";
const AUTHORITY_KEY = "551d23";
const SUBJECT_KEY = "551d0e";
const NAME_CONSTRAINTS = "551d1e";
const CLIENT_AUTHENTICATION = "300a06082b06010505070302";
const AUTHORITY = "30060101ff020100";
const CRITICAL = "critical ";

interface Certificate {
  readonly signed: Uint8Array;
  readonly algorithm: Uint8Array;
  readonly signature: Uint8Array;
  readonly version: string;
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly spki: Uint8Array;
  /** Value in hex, `critical ` before it when it is, by object identifier in hex. */
  readonly extensions: ReadonlyMap<string, string>;
}

function parse(bytes: Uint8Array): Certificate {
  try {
    const parts = [...elements(only(bytes, 0x30).content)];
    const signed = take(parts, 0x30);
    const algorithm = take(parts, 0x30).whole;
    const signature = bitsOf(take(parts, 0x03));
    end(parts);
    return { signed: signed.whole, algorithm, signature, ...fieldsOf([...elements(signed.content)]) };
  } catch (failure) {
    throw new Refused("certificate.malformed", String(failure));
  }
}

function fieldsOf(fields: Node[]): Omit<Certificate, "signed" | "algorithm" | "signature"> {
  const version = fields[0]?.tag === 0xa0 ? hex(take(fields, 0xa0).content) : "";
  take(fields, 0x02);
  take(fields, 0x30);
  const issuer = take(fields, 0x30).whole;
  const [notBefore = 0, notAfter = 0] = elements(take(fields, 0x30).content).map(timeOf);
  const subject = take(fields, 0x30).whole;
  const spki = take(fields, 0x30).whole;
  const extensions = new Map<string, string>();
  const rows = fields.length > 0 ? elements(only(take(fields, 0xa3).content, 0x30).content) : [];
  end(fields);
  for (const { content } of rows) {
    const row = [...elements(content)];
    const type = hex(take(row, 0x06).content);
    const isCritical = row[0]?.tag === 0x01 && hex(take(row, 0x01).content) === "ff";
    extensions.set(type, (isCritical ? CRITICAL : "") + hex(take(row, 0x04).content));
    end(row);
  }
  return { version, issuer, notBefore, notAfter, subject, spki, extensions };
}

function timeOf({ tag, content }: Node): number {
  const text = Buffer.from(content).toString("latin1");
  const century = text < "50" ? "20" : "19";
  const full = tag === 0x17 ? century + text : text;
  return Date.parse(full.replace(/^(....)(..)(..)(..)(..)(..)Z$/, "$1-$2-$3T$4:$5:$6Z"));
}

const hostOf = (gatehouseId: string): string => `${gatehouseId}.gatehouse.internal`;

const uriOf = (gatehouseId: string, device: string): string =>
  `spiffe://${hostOf(gatehouseId)}/device/${device}`;

function constraintsOf(gatehouseId: string): Uint8Array {
  const host = utf8(hostOf(gatehouseId));
  return sequence(der(0xa0, sequence(der(0x82, host)), sequence(der(0x86, host))));
}

export interface Expected {
  readonly gatehouseKey: Uint8Array;
  readonly joinerKey: Uint8Array;
  readonly joinerTlsKeyHash: Uint8Array;
  readonly now: number;
}

/** Everything that the document wants looked at before a grant is stored. */
export function checkGrant(grant: Grant, expected: Expected): void {
  const gatehouseId = deviceId(expected.gatehouseKey);
  const ownId = deviceId(expected.joinerKey);
  const leaf = parse(grant.certificate);
  const authorities = grant.caCertificates.map((bytes) => checkAuthority(parse(bytes), gatehouseId));
  const issuer = authorities.find((authority) => isIssuer(authority, leaf));
  if (issuer === undefined || !isSignedBy(leaf, issuer))
    throw new Refused("certificate.untrusted", "no authority's");
  for (const { notBefore, notAfter } of [leaf, issuer]) {
    const isGood = notBefore <= expected.now && expected.now < notAfter;
    if (!isGood) throw new Refused("certificate.expired", "out of its dates");
  }
  const named = checkLeaf(leaf, gatehouseId);
  if (named !== ownId || grant.deviceId !== ownId) throw badMessage("another device's certificate");
  if (!equal(sha256(leaf.spki), expected.joinerTlsKeyHash)) throw badMessage("another key's certificate");
}

function checkAuthority(certificate: Certificate, gatehouseId: string): Certificate {
  const { issuer, subject, extensions } = certificate;
  const isAuthority =
    equal(issuer, subject) &&
    isSignedBy(certificate, certificate) &&
    extensions.get(BASIC_CONSTRAINTS) === CRITICAL + AUTHORITY &&
    extensions.get(NAME_CONSTRAINTS) === CRITICAL + hex(constraintsOf(gatehouseId)) &&
    extensions.has(SUBJECT_KEY);
  if (!isAuthority) throw wrongProfile("not this gatehouse's authority");
  return certificate;
}

function isIssuer(authority: Certificate, leaf: Certificate): boolean {
  const keyId = only(fromHex(authority.extensions.get(SUBJECT_KEY) ?? ""), 0x04).content;
  const named = hex(sequence(der(0x80, keyId)));
  return equal(authority.subject, leaf.issuer) && leaf.extensions.get(AUTHORITY_KEY) === named;
}

const isSignedBy = ({ algorithm, signed, signature }: Certificate, { spki }: Certificate): boolean =>
  equal(algorithm, ECDSA_WITH_SHA256) && isSignedByTls(spki, signed, signature);

/** The device that it names. */
function checkLeaf({ version, subject, extensions }: Certificate, gatehouseId: string): string {
  const usage = extensions.get(EXTENDED_KEY_USAGE)?.replace(CRITICAL, "");
  const isLeaf =
    version === "020102" &&
    hex(subject) === "3000" &&
    extensions.get(BASIC_CONSTRAINTS) === `${CRITICAL}3000` &&
    extensions.get(KEY_USAGE) === `${CRITICAL}03020780` &&
    usage === CLIENT_AUTHENTICATION &&
    extensions.size === 5;
  if (!isLeaf) throw wrongProfile("not a device's leaf");
  const name = fromHex((extensions.get(ALTERNATIVE_NAME) ?? "").replace(CRITICAL, ""));
  const named = Buffer.from(name.slice(-56)).toString("latin1");
  const exact = sequence(der(0x86, utf8(uriOf(gatehouseId, named))));
  if (extensions.get(ALTERNATIVE_NAME) !== CRITICAL + hex(exact)) throw wrongProfile("other names");
  return named;
}

const wrongProfile = (why: string): Refused => new Refused("certificate.wrong-profile", why);

/** The twin gatehouse's authority. */
export class TwinAuthority {
  readonly certificate: Uint8Array;
  readonly #key: TlsKey;
  readonly #gatehouseId: string;
  readonly #now: number;
  readonly #name: Uint8Array;
  readonly #keyId: Uint8Array;
  #serial = 0x40;

  constructor(gatehouseId: string, key: TlsKey, now: number) {
    this.#key = key;
    this.#gatehouseId = gatehouseId;
    this.#now = now;
    this.#keyId = sha256(key.spki).slice(0, 20);
    const commonName = sequence(objectId("550403"), der(0x0c, utf8(`authority of ${gatehouseId}`)));
    this.#name = sequence(der(0x31, commonName));
    this.certificate = this.#issue(this.#name, key.spki, [
      extension(BASIC_CONSTRAINTS, fromHex(AUTHORITY), "critical"),
      extension(NAME_CONSTRAINTS, constraintsOf(gatehouseId), "critical"),
      extension(SUBJECT_KEY, der(0x04, this.#keyId)),
    ]);
  }

  certify(device: string, spki: Uint8Array): Uint8Array {
    return this.#issue(sequence(), spki, [
      extension(BASIC_CONSTRAINTS, sequence(), "critical"),
      extension(KEY_USAGE, fromHex("03020780"), "critical"),
      extension(EXTENDED_KEY_USAGE, fromHex(CLIENT_AUTHENTICATION)),
      extension(ALTERNATIVE_NAME, sequence(der(0x86, utf8(uriOf(this.#gatehouseId, device)))), "critical"),
      extension(AUTHORITY_KEY, sequence(der(0x80, this.#keyId))),
    ]);
  }

  #issue(subject: Uint8Array, spki: Uint8Array, extensions: readonly Uint8Array[]): Uint8Array {
    this.#serial += 1;
    const signed = sequence(
      der(0xa0, der(0x02, Uint8Array.of(2))),
      der(0x02, Uint8Array.of(this.#serial)),
      ECDSA_WITH_SHA256,
      this.#name,
      sequence(utcTime(this.#now - 300_000), utcTime(this.#now + 86_400_000)),
      subject,
      spki,
      der(0xa3, sequence(...extensions)),
    );
    return sequence(signed, ECDSA_WITH_SHA256, bits(this.#key.sign(signed)));
  }
}

function extension(type: string, value: Uint8Array, critical?: "critical"): Uint8Array {
  const mark = critical === undefined ? new Uint8Array(0) : der(0x01, Uint8Array.of(0xff));
  return sequence(objectId(type), mark, der(0x04, value));
}

function utcTime(at: number): Uint8Array {
  const digits = new Date(at).toISOString().replace(/\D/g, "").slice(2, 14);
  return der(0x17, utf8(`${digits}Z`));
}

/** A certificate's SubjectPublicKeyInfo as it stands there. */
export const spkiOf = (certificate: Uint8Array): Uint8Array => parse(certificate).spki;

/** What the twin's joiner shows in TLS: self-signed, its contents free. */
export function selfSigned(key: TlsKey, now: number): Uint8Array {
  const signed = sequence(
    der(0x02, Uint8Array.of(1)),
    ECDSA_WITH_SHA256,
    sequence(),
    sequence(utcTime(now - 300_000), utcTime(now + 86_400_000)),
    sequence(),
    key.spki,
  );
  return sequence(signed, ECDSA_WITH_SHA256, bits(key.sign(signed)));
}
