/** Bytes as docs/pairing.md writes them. Nothing here or beside it comes from src/ or from a cryptography package. */
import { createHash, createHmac } from "node:crypto";

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

export const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "hex"));

export const concat = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

export const equal = (a: Uint8Array, b: Uint8Array): boolean => hex(a) === hex(b);

/** LEB128 in as few bytes as it takes. */
export function leb128(value: number): Uint8Array {
  const bytes = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) {
    bytes.push(rest % 128);
  }
  return Uint8Array.from(bytes, (byte, index) => (index < bytes.length - 1 ? byte + 128 : byte));
}

/** Each string after its length in LEB128: CPace's prefix. */
export function lv(...strings: readonly Uint8Array[]): Uint8Array {
  return concat(...strings.flatMap((string) => [leb128(string.length), string]));
}

/** Each string after its length in four bytes, big-endian: everybody else's prefix. */
export function p32(...strings: readonly Uint8Array[]): Uint8Array {
  return concat(
    ...strings.flatMap((string) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(string.length);
      return [length, string];
    }),
  );
}

export const sha256 = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash("sha256").update(bytes).digest());

export const sha512 = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash("sha512").update(bytes).digest());

export const hmacSha512 = (key: Uint8Array, bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHmac("sha512", key).update(bytes).digest());

/** HKDF-SHA-512 (RFC 5869) for one block: 64 bytes. */
export function hkdfSha512(secret: Uint8Array, salt: Uint8Array, info: Uint8Array): Uint8Array {
  return hmacSha512(hmacSha512(salt, secret), concat(info, Uint8Array.of(1)));
}
