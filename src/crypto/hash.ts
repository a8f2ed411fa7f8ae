import { createHash, createHmac, hkdfSync, type KeyObject, timingSafeEqual } from "node:crypto";

/** SHA-256 (FIPS 180-4) of the parts joined without separators; 32 bytes. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return digest("sha256", parts);
}

/** SHA-512 (FIPS 180-4) of the parts joined without separators; 64 bytes. */
export function sha512(...parts: readonly Uint8Array[]): Uint8Array {
  return digest("sha512", parts);
}

/** HMAC-SHA-256 (RFC 2104) of the parts joined without separators; 32 bytes. */
export function hmacSha256(key: Uint8Array | KeyObject, ...parts: readonly Uint8Array[]): Uint8Array {
  return hmac("sha256", key, parts);
}

/** HMAC-SHA-512 (RFC 2104) of the parts joined without separators; 64 bytes. */
export function hmacSha512(key: Uint8Array | KeyObject, ...parts: readonly Uint8Array[]): Uint8Array {
  return hmac("sha512", key, parts);
}

export interface HkdfInput {
  readonly ikm: Uint8Array | KeyObject;
  readonly salt: Uint8Array;
  /** At most 1 024 bytes. */
  readonly info: Uint8Array;
  /** Bytes wanted: at most 255 hash lengths. */
  readonly length: number;
}

/** HKDF-SHA-256, extract and expand (RFC 5869 §2). The answer is the caller's to wipe. */
export function hkdfSha256({ ikm, salt, info, length }: HkdfInput): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", ikm, salt, info, length));
}

/** HKDF-SHA-512, extract and expand (RFC 5869 §2). The answer is the caller's to wipe. */
export function hkdfSha512({ ikm, salt, info, length }: HkdfInput): Uint8Array {
  return new Uint8Array(hkdfSync("sha512", ikm, salt, info, length));
}

/** Compares in constant time for equal lengths; the length itself is no secret. */
export function equalSecrets(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

function digest(algorithm: string, parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

function hmac(algorithm: string, key: Uint8Array | KeyObject, parts: readonly Uint8Array[]): Uint8Array {
  const mac = createHmac(algorithm, key);
  for (const part of parts) mac.update(part);
  return new Uint8Array(mac.digest());
}
