import type { KeyObject } from "node:crypto";
import type { UnixMs } from "../core/index.ts";
import { privateKeyOf } from "./ca-certificate.ts";
import { DAY_MS, dateOf } from "./profile.ts";
import { loadX509, SIGNING } from "./x509.ts";

/** A fresh list is wanted by then; one may be had at any time. */
const NEXT_UPDATE_MS = 7 * DAY_MS;
/** RFC 5280 §5.2.3: at most 20 bytes, and not negative. */
const CRL_NUMBER_OID = "2.5.29.20";

export interface RevokedCertificate {
  /** Lower-case hex. */
  readonly serial: string;
  readonly revokedAt: number;
}

export interface RevocationListInput {
  /** The authority, DER, and its P-256 key. */
  readonly caCertificate: Uint8Array;
  readonly caKey: KeyObject;
  readonly revoked: readonly RevokedCertificate[];
  /** Never smaller than that of an earlier list; below 2^53. */
  readonly number: number;
  readonly now: UnixMs;
}

/**
 * A certificate revocation list of one authority (RFC 5280 §5), DER. Entries give no reason (§5.3.1 asks for none rather
 * than `unspecified`): why a device was revoked is the owner's business.
 */
export async function createRevocationList(input: RevocationListInput): Promise<Uint8Array> {
  const { caCertificate, caKey, revoked, number, now } = input;
  const x509 = loadX509();
  const ca = new x509.X509Certificate(caCertificate);
  const keyId = ca.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;
  if (keyId === undefined) throw new TypeError("createRevocationList: the authority names no key");
  const list = await x509.X509CrlGenerator.create({
    issuer: ca.subjectName.toJSON(),
    thisUpdate: dateOf(now),
    nextUpdate: dateOf(now + NEXT_UPDATE_MS),
    entries: revoked.map(({ serial, revokedAt }) => ({
      serialNumber: serial,
      revocationDate: dateOf(revokedAt),
    })),
    extensions: [
      new x509.AuthorityKeyIdentifierExtension(keyId, false),
      new x509.Extension(CRL_NUMBER_OID, false, derInteger(number)),
    ],
    signingAlgorithm: SIGNING,
    signingKey: await privateKeyOf(caKey),
  });
  return new Uint8Array(list.rawData);
}

/** A non-negative INTEGER in DER. */
function derInteger(value: number): Uint8Array<ArrayBuffer> {
  const digits = value.toString(16);
  const even = digits.length % 2 === 0 ? digits : `0${digits}`;
  const unsigned = Number.parseInt(even.slice(0, 2), 16) >= 0x80 ? `00${even}` : even;
  const content = Buffer.from(unsigned, "hex");
  return new Uint8Array([2, content.length, ...content]);
}
