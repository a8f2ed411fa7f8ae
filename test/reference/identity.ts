/** Identity keys, what they sign, and the ids made of them. */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { concat, fromHex, hex, p32, sha256, utf8 } from "./bytes.ts";

const PKCS8_HEAD = fromHex("302e020100300506032b657004220420");
const SPKI_HEAD = fromHex("302a300506032b6570032100");
const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

/** y of every point of small order, in all encodings, the sign bit off. */
const SMALL_ORDER = [
  `00${"00".repeat(31)}`,
  `01${"00".repeat(31)}`,
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  `ec${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(30)}7f`,
];

export class Identity {
  readonly publicKey: Uint8Array;
  readonly id: string;
  readonly #key: KeyObject;

  constructor(seed: Uint8Array) {
    const der = Buffer.from(concat(PKCS8_HEAD, seed));
    this.#key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
    const spki = createPublicKey(this.#key).export({ format: "der", type: "spki" });
    this.publicKey = new Uint8Array(spki.subarray(SPKI_HEAD.length));
    this.id = deviceId(this.publicKey);
  }

  sign(label: string, message: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, p32(utf8(label), message), this.#key));
  }
}

export function isSigned(
  publicKey: Uint8Array,
  label: string,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const withoutSign = publicKey.with(31, (publicKey[31] ?? 0) % 128);
  if (SMALL_ORDER.includes(hex(withoutSign))) return false;
  const der = Buffer.from(concat(SPKI_HEAD, publicKey));
  const key = createPublicKey({ key: der, format: "der", type: "spki" });
  return verify(null, p32(utf8(label), message), key, signature);
}

export function deviceId(publicKey: Uint8Array): string {
  const digest = sha256(publicKey);
  return base32(digest) + checkOf(digest);
}

/** The four check characters. */
export const checkOf = (digest: Uint8Array): string =>
  base32(sha256(p32(utf8("gatehouse/v1/device-id/check"), digest))).slice(0, 4);

function base32(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return (bits.match(/.{1,5}/g) ?? [])
    .map((five) => ALPHABET.charAt(Number.parseInt(five.padEnd(5, "0"), 2)))
    .join("");
}
