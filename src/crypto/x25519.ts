import { diffieHellman, type KeyObject } from "node:crypto";
import { type Random, systemRandom } from "../core/index.ts";
import {
  pkcs8OfKey,
  privateKeyFromPkcs8,
  privateKeyFromRaw,
  publicKeyFromRaw,
  rawPublicKey,
} from "./encodings.ts";

/** X25519 (RFC 7748). Private keys are `KeyObject`s, public ones 32 raw bytes. */

/** A new agreement key from 32 bytes of `random`. */
export function generateAgreementKey(random: Random = systemRandom): KeyObject {
  const secret = random.bytes(32);
  try {
    return agreementKeyOf(secret);
  } finally {
    secret.fill(0);
  }
}

/** The agreement key of 32 secret bytes. Borrows them. */
export function agreementKeyOf(secret: Uint8Array): KeyObject {
  return privateKeyFromRaw("x25519", secret);
}

/** @throws RangeError unless `pkcs8` is the DER of an X25519 private key. Borrows it. */
export function importAgreementKey(pkcs8: Uint8Array): KeyObject {
  return privateKeyFromPkcs8(pkcs8, "x25519");
}

/** PKCS#8 DER; the caller's to wipe. */
export function exportAgreementKey(key: KeyObject): Uint8Array {
  return pkcs8OfKey(key);
}

/** 32 raw bytes. */
export function agreementPublicKey(key: KeyObject): Uint8Array {
  return rawPublicKey(key);
}

/**
 * The 32-byte shared secret, the caller's to wipe; feed it to a KDF. `undefined` when `publicKey` is not 32 bytes
 * or makes the all-zero secret (RFC 7748 §6.1).
 */
export function agree(key: KeyObject, publicKey: Uint8Array): Uint8Array | undefined {
  if (publicKey.length !== 32) return undefined;
  try {
    const peer = publicKeyFromRaw("x25519", publicKey);
    return new Uint8Array(diffieHellman({ privateKey: key, publicKey: peer }));
  } catch {
    return undefined;
  }
}
