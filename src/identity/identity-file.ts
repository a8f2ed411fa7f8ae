import type { KeyObject } from "node:crypto";
import { ByteReader, ByteWriter, concat, copyOf, equalBytes, utf8 } from "../core/index.ts";
import {
  exportAgreementKey,
  exportSigningKey,
  exportTlsKey,
  importAgreementKey,
  importSigningKey,
  importTlsKey,
  LABELS,
  signingPublicKey,
  signLabelled,
  verifyLabelled,
} from "../crypto/index.ts";

/**
 * The identity file, format 1: everything in one file, so that an identity is there whole or not at all.
 *
 * | bytes | field |
 * | --- | --- |
 * | 4 | `GHI` and the format, 1 |
 * | 4 + n | u32 length, Ed25519 private key as PKCS#8 DER |
 * | 4 + n | u32 length, X25519 private key as PKCS#8 DER |
 * | 4 + n | u32 length, P-256 private key as PKCS#8 DER |
 * | 64 | Ed25519 signature over the X25519 public key |
 * | 64 | Ed25519 signature over the P-256 SubjectPublicKeyInfo |
 * | 64 | Ed25519 signature over everything before it |
 */

const MAGIC = concat(utf8("GHI"), Uint8Array.of(1));
const SIGNATURE_BYTES = 64;
const KEY_BYTES_MAX = 256;

/** The three private keys and the signing key's statements about the other two. */
export interface IdentityKeys {
  readonly signing: KeyObject;
  readonly agreement: KeyObject;
  readonly tls: KeyObject;
  readonly agreementBinding: Uint8Array;
  readonly tlsBinding: Uint8Array;
}

/** More than any identity file has. */
export const IDENTITY_FILE_BYTES_MAX = 1_024;

/** The answer holds secrets: the caller wipes it. */
export function encodeIdentity(keys: IdentityKeys): Uint8Array {
  const secrets = [
    exportSigningKey(keys.signing),
    exportAgreementKey(keys.agreement),
    exportTlsKey(keys.tls),
  ];
  const writer = new ByteWriter().raw(MAGIC);
  for (const secret of secrets) writer.prefixed(secret);
  const body = writer.raw(keys.agreementBinding).raw(keys.tlsBinding).finish();
  const file = concat(body, signLabelled(keys.signing, LABELS.identityFile, body));
  for (const secret of [...secrets, body]) secret.fill(0);
  return file;
}

/**
 * Reads the keys and checks the signature over the file; whether the bindings hold is the caller's to check.
 *
 * @throws MalformedBytes, RangeError for anything that `encodeIdentity` did not write
 */
export function decodeIdentity(file: Uint8Array): IdentityKeys {
  const reader = new ByteReader(file);
  if (!equalBytes(reader.raw(MAGIC.length), MAGIC)) throw new RangeError("unknown format");
  const keys = {
    signing: importSigningKey(reader.prefixed(KEY_BYTES_MAX)),
    agreement: importAgreementKey(reader.prefixed(KEY_BYTES_MAX)),
    tls: importTlsKey(reader.prefixed(KEY_BYTES_MAX)),
    agreementBinding: copyOf(reader.raw(SIGNATURE_BYTES)),
    tlsBinding: copyOf(reader.raw(SIGNATURE_BYTES)),
  };
  const body = file.subarray(0, reader.offset);
  const signature = reader.raw(SIGNATURE_BYTES);
  reader.end();
  if (!verifyLabelled(signingPublicKey(keys.signing), LABELS.identityFile, body, signature)) {
    throw new RangeError("the signature over the file does not match");
  }
  return keys;
}
