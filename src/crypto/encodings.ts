import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { concat, fromHex } from "../core/index.ts";

/**
 * Raw 32-byte keys of RFC 8410's curves to `KeyObject`s and back: the DER around them never varies.
 *
 * | bytes | PKCS#8 private key (RFC 5958) | | bytes | SubjectPublicKeyInfo |
 * | --- | --- | --- | --- | --- |
 * | 16 | SEQUENCE, version 0, OID, OCTET STRING headers | | 12 | SEQUENCE, OID, BIT STRING header |
 * | 32 | seed or scalar | | 32 | public key |
 */
export type RawCurve = "ed25519" | "x25519";

const PREFIXES = {
  ed25519: { pkcs8: fromHex("302e020100300506032b657004220420"), spki: fromHex("302a300506032b6570032100") },
  x25519: { pkcs8: fromHex("302e020100300506032b656e04220420"), spki: fromHex("302a300506032b656e032100") },
} as const;

const RAW_BYTES = 32;

/** Borrows `secret`; the copy made on the way is wiped. */
export function privateKeyFromRaw(curve: RawCurve, secret: Uint8Array): KeyObject {
  const der = concat(PREFIXES[curve].pkcs8, secret);
  try {
    return createPrivateKey({ key: Buffer.from(der.buffer), format: "der", type: "pkcs8" });
  } finally {
    der.fill(0);
  }
}

/** @throws RangeError unless `raw` is 32 bytes. */
export function publicKeyFromRaw(curve: RawCurve, raw: Uint8Array): KeyObject {
  if (raw.length !== RAW_BYTES) throw new RangeError(`${curve}: public key of ${raw.length} bytes, not 32`);
  const der = Buffer.from(concat(PREFIXES[curve].spki, raw).buffer);
  return createPublicKey({ key: der, format: "der", type: "spki" });
}

/** The 32 raw bytes of the public half of `key`. */
export function rawPublicKey(key: KeyObject): Uint8Array {
  return spkiOfKey(key).slice(-RAW_BYTES);
}

/** SubjectPublicKeyInfo DER of the public half of `key`. */
export function spkiOfKey(key: KeyObject): Uint8Array {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  return new Uint8Array(publicKey.export({ format: "der", type: "spki" }));
}

/** PKCS#8 DER; the caller's to wipe. */
export function pkcs8OfKey(key: KeyObject): Uint8Array {
  return new Uint8Array(key.export({ format: "der", type: "pkcs8" }));
}

/** @throws RangeError unless `der` is a PKCS#8 private key of exactly that type. */
export function privateKeyFromPkcs8(der: Uint8Array, type: "ed25519" | "x25519" | "ec"): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: Buffer.from(der), format: "der", type: "pkcs8" });
  } catch (cause) {
    throw new RangeError(`not a PKCS#8 private key`, { cause });
  }
  if (key.asymmetricKeyType !== type) {
    throw new RangeError(`a ${String(key.asymmetricKeyType)} private key where ${type} was expected`);
  }
  return key;
}
