import { createSecretKey, type KeyObject } from "node:crypto";
import { ByteReader, ByteWriter, concat, copyOf, equalBytes, type Random, utf8 } from "../core/index.ts";
import {
  exportSigningKey,
  exportTlsKey,
  hkdfSha256,
  importTlsKey,
  LABELS,
  type Label,
  openOnce,
  sealOnce,
  signingPublicKey,
  tlsPublicKey,
} from "../crypto/index.ts";
import { verifyTlsBinding } from "./bindings.ts";

/**
 * A further TLS key of an identity:
 *
 * | bytes | field |
 * | --- | --- |
 * | 4 | `GHT` and the format, 1 |
 * | n | sealed by `sealOnce`, bound to the bytes before it and to the identity's raw Ed25519 public key |
 *
 * Sealed:
 *
 * | bytes | field |
 * | --- | --- |
 * | 8 | order: the newer of two keys has the higher; the one in the identity file counts as 0 |
 * | 4 + n | u32 length, P-256 private key as PKCS#8 DER |
 * | 64 | Ed25519 signature over the P-256 SubjectPublicKeyInfo |
 *
 * The sealing key = HKDF-SHA-256(ikm = Ed25519 private key as PKCS#8 DER, salt = raw public key, info = label), so
 * whoever can open the identity file can open these, and nobody else can, or could have made them.
 */

const MAGIC = concat(utf8("GHT"), Uint8Array.of(1));
const SIGNATURE_BYTES = 64;
const KEY_BYTES_MAX = 256;

/** More than any such file has. */
export const TLS_KEY_FILE_BYTES_MAX = 1_024;

export interface TlsKey {
  readonly order: number;
  readonly key: KeyObject;
  /** The identity's signature over the key. */
  readonly binding: Uint8Array;
}

export function encodeTlsKey(
  signing: KeyObject,
  { order, key, binding }: TlsKey,
  random: Random,
): Uint8Array {
  const secret = exportTlsKey(key);
  const plaintext = new ByteWriter().u64(order).prefixed(secret).raw(binding).finish();
  try {
    return concat(MAGIC, sealOnce({ ...contextOf(signing), plaintext, random }));
  } finally {
    secret.fill(0);
    plaintext.fill(0);
  }
}

/** @throws MalformedBytes, RangeError for anything that `encodeTlsKey` did not write for this identity. */
export function decodeTlsKey(signing: KeyObject, file: Uint8Array): TlsKey {
  if (!equalBytes(file.subarray(0, MAGIC.length), MAGIC)) throw new RangeError("unknown format");
  const plaintext = openOnce({ ...contextOf(signing), sealed: file.subarray(MAGIC.length) });
  if (plaintext === undefined) throw new RangeError("this identity has not sealed it");
  try {
    return verified(signing, parse(new ByteReader(plaintext)));
  } finally {
    plaintext.fill(0);
  }
}

function parse(reader: ByteReader): TlsKey {
  const order = reader.u64();
  const key = importTlsKey(reader.prefixed(KEY_BYTES_MAX));
  const binding = copyOf(reader.raw(SIGNATURE_BYTES));
  reader.end();
  return { order, key, binding };
}

function verified(signing: KeyObject, tlsKey: TlsKey): TlsKey {
  const [identityKey, spki] = [signingPublicKey(signing), tlsPublicKey(tlsKey.key)];
  if (verifyTlsBinding({ identityKey, spki, signature: tlsKey.binding })) return tlsKey;
  throw new RangeError("the TLS key is not bound to the identity");
}

function contextOf(signing: KeyObject) {
  const key = derivedFrom(signing, LABELS.identityTlsRing);
  const associatedData = signingPublicKey(signing);
  return { key, label: LABELS.identityTlsKey, header: MAGIC, associatedData };
}

/** HKDF-SHA-256(ikm = Ed25519 private key as PKCS#8 DER, salt = raw public key, info = label), 32 bytes. */
export function derivedFrom(signing: KeyObject, label: Label): KeyObject {
  const secret = exportSigningKey(signing);
  const bytes = hkdfSha256({ ikm: secret, salt: signingPublicKey(signing), info: utf8(label), length: 32 });
  const key = createSecretKey(bytes);
  secret.fill(0);
  bytes.fill(0);
  return key;
}
