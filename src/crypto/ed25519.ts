import { type KeyObject, sign, verify } from "node:crypto";
import { ByteWriter, copyOf, hex, type Random, systemRandom, utf8 } from "../core/index.ts";
import {
  pkcs8OfKey,
  privateKeyFromPkcs8,
  privateKeyFromRaw,
  publicKeyFromRaw,
  rawPublicKey,
} from "./encodings.ts";
import type { Label } from "./labels.ts";

/** Ed25519 (RFC 8032). Private keys are `KeyObject`s, public ones 32 raw bytes, signatures 64. */

const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** A new signing key from 32 bytes of `random`. */
export function generateSigningKey(random: Random = systemRandom): KeyObject {
  const seed = random.bytes(32);
  try {
    return privateKeyFromRaw("ed25519", seed);
  } finally {
    seed.fill(0);
  }
}

/** @throws RangeError unless `pkcs8` is the DER of an Ed25519 private key. Borrows it. */
export function importSigningKey(pkcs8: Uint8Array): KeyObject {
  return privateKeyFromPkcs8(pkcs8, "ed25519");
}

/** PKCS#8 DER; the caller's to wipe. */
export function exportSigningKey(key: KeyObject): Uint8Array {
  return pkcs8OfKey(key);
}

/** 32 raw bytes. */
export function signingPublicKey(key: KeyObject): Uint8Array {
  return rawPublicKey(key);
}

/** 64 bytes. Bare: prefer `signLabelled`, unless a standard says what is signed. */
export function signEd25519(key: KeyObject, message: Uint8Array): Uint8Array {
  return new Uint8Array(sign(null, message, key));
}

/**
 * False for anything that is not a good signature, malformed input included; never throws. Public keys of small
 * order are refused: one signature under them verifies for every message.
 */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== PUBLIC_KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false;
  if (isSmallOrder(publicKey)) return false;
  try {
    return verify(null, message, publicKeyFromRaw("ed25519", publicKey), signature);
  } catch {
    return false;
  }
}

/** Signs u32 length ‖ label ‖ u32 length ‖ message; 64 bytes. */
export function signLabelled(key: KeyObject, label: Label, message: Uint8Array): Uint8Array {
  return signEd25519(key, labelled(label, message));
}

/** Twin of `signLabelled`; never throws. */
export function verifyLabelled(
  publicKey: Uint8Array,
  label: Label,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  return verifyEd25519(publicKey, labelled(label, message), signature);
}

function labelled(label: Label, message: Uint8Array): Uint8Array {
  return new ByteWriter().prefixed(utf8(label)).prefixed(message).finish();
}

/** y coordinates of the eight points of small order, with the two that have a second, non-canonical encoding. */
const SMALL_ORDER = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]);

function isSmallOrder(publicKey: Uint8Array): boolean {
  const withoutSign = copyOf(publicKey);
  withoutSign[PUBLIC_KEY_BYTES - 1] = (withoutSign[PUBLIC_KEY_BYTES - 1] ?? 0) & 0x7f;
  return SMALL_ORDER.has(hex(withoutSign));
}
