import { createPublicKey, type KeyObject } from "node:crypto";
import { describe, expect, it } from "vitest";
import { fromHex, hex, type Random, utf8 } from "../../src/core/index.ts";
import {
  aeadOpen,
  aeadSeal,
  agree,
  agreementPublicKey,
  exportSigningKey,
  generateAgreementKey,
  generateSigningKey,
  hkdfSha256,
  hmacSha256,
  hmacSha512,
  importSigningKey,
  ristretto255,
  sha256,
  sha512,
  signEd25519,
  signingPublicKey,
  verifyEd25519,
} from "../../src/crypto/index.ts";
import { RFC_5869, RFC_7748, RFC_7748_ITERATED, RFC_8032, RFC_8439 } from "../vectors/rfc.ts";

/** "Chance" that is a vector's own secret. */
const fixed = (text: string): Random => ({ bytes: () => fromHex(text) });

describe("published vectors", () => {
  it("FIPS 180-4 example: SHA-256 and SHA-512 of abc, whole and in parts", () => {
    const abc256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    expect(hex(sha256(utf8("abc")))).toBe(abc256);
    expect(hex(sha256(utf8("a"), utf8(""), utf8("bc")))).toBe(abc256);
    expect(hex(sha512(utf8("abc")))).toBe(
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    );
  });

  it("RFC 4231 test case 2: HMAC-SHA-256 and HMAC-SHA-512", () => {
    const message = utf8("what do ya want for nothing?");
    expect(hex(hmacSha256(utf8("Jefe"), message))).toBe(
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    );
    expect(hex(hmacSha512(utf8("Jefe"), message))).toBe(
      "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
    );
  });

  it.each(RFC_8439)("RFC 8439 $name: ChaCha20-Poly1305", ({ key, iv, aad, msg, ct, tag }) => {
    const context = { key: fromHex(key), nonce: fromHex(iv), associatedData: fromHex(aad) };
    const sealed = aeadSeal({ ...context, plaintext: fromHex(msg) });
    expect(hex(sealed)).toBe(ct + tag);
    expect(hex(aeadOpen({ ...context, sealed }) ?? new Uint8Array())).toBe(msg);
  });

  it.each(RFC_5869)("RFC 5869 $name: HKDF-SHA-256", ({ ikm, salt, info, okm }) => {
    const input = { ikm: fromHex(ikm), salt: fromHex(salt), info: fromHex(info) };
    expect(hex(hkdfSha256({ ...input, length: okm.length / 2 }))).toBe(okm);
  });

  it.each(RFC_8032)("RFC 8032 section 7.1 $name: Ed25519", ({ sk, pk, msg, sig }) => {
    const key = generateSigningKey(fixed(sk));
    expect(hex(signingPublicKey(key))).toBe(pk);
    expect(hex(signEd25519(key, fromHex(msg)))).toBe(sig);
    expect(verifyEd25519(fromHex(pk), fromHex(msg), fromHex(sig))).toBe(true);
    expect(samePublicKey(importSigningKey(exportSigningKey(key)), key)).toBe(true);
  });

  it.each(RFC_7748)("RFC 7748 $name: X25519", ({ private: secret, public: other, shared }) => {
    expect(hex(agree(generateAgreementKey(fixed(secret)), fromHex(other)) ?? new Uint8Array())).toBe(shared);
  });

  it("RFC 7748 section 6.1: each side's public key is what the other one has", () => {
    const [alice, bob] = RFC_7748.slice(2);
    expect(hex(agreementPublicKey(generateAgreementKey(fixed(alice?.private ?? ""))))).toBe(bob?.public);
    expect(hex(agreementPublicKey(generateAgreementKey(fixed(bob?.private ?? ""))))).toBe(alice?.public);
  });

  it("RFC 7748 section 5.2: X25519 of its own answers, 1 and 1 000 times", () => {
    let [k, u] = [fromHex(RFC_7748_ITERATED.start), fromHex(RFC_7748_ITERATED.start)];
    const answers = Array.from({ length: 1_000 }, () => {
      [k, u] = [agree(generateAgreementKey(fixed(hex(k))), u) ?? new Uint8Array(), k];
      return hex(k);
    });
    for (const [rounds, answer] of RFC_7748_ITERATED.after) expect(answers[rounds - 1]).toBe(answer);
  });

  it.each([
    [
      "Ristretto is traditionally a short shot of espresso coffee",
      "3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46",
    ],
    [
      "made with the normal amount of ground coffee but extracted with",
      "f26e5b6f7d362d2d2a94c5d0e7602cb4773c95a2e5c31a64f133189fa76ed61b",
    ],
    [
      "about half the amount of water in the same amount of time",
      "006ccd2a9e6867e6a2c5cea83d3302cc9de128dd2a9a57dd8ee7b9d7ffe02826",
    ],
    ["by using a finer grind.", "f8f0c87cf237953c5890aec3998169005dae3eca1fbb04548c635953c817f92a"],
  ])("RFC 9496 A.3: ristretto255 element derived from %j", (label, element) => {
    expect(hex(ristretto255.hashToPoint(sha512(utf8(label))))).toBe(element);
  });

  it("RFC 9496 A.1: small multiples of the ristretto255 generator", () => {
    const generator = fromHex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76");
    expect(hex(ristretto255.multiply(generator, scalar(1)) ?? new Uint8Array())).toBe(hex(generator));
    expect(hex(ristretto255.multiply(generator, scalar(2)) ?? new Uint8Array())).toBe(
      "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919",
    );
  });
});

function scalar(value: number): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, index) => (index === 0 ? value : 0));
}

function samePublicKey(a: KeyObject, b: KeyObject): boolean {
  return createPublicKey(a).equals(createPublicKey(b));
}
