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

  it("RFC 8439 section 2.8.2: ChaCha20-Poly1305", () => {
    const context = {
      key: fromHex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"),
      nonce: fromHex("070000004041424344454647"),
      associatedData: fromHex("50515253c0c1c2c3c4c5c6c7"),
    };
    const plaintext = utf8(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
    );
    const sealed = aeadSeal({ ...context, plaintext });
    expect(hex(sealed)).toBe(
      "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
    );
    expect(aeadOpen({ ...context, sealed })).toEqual(plaintext);
  });

  it.each([
    {
      name: "A.1",
      ikm: "0b".repeat(22),
      salt: "000102030405060708090a0b0c",
      info: "f0f1f2f3f4f5f6f7f8f9",
      okm: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    },
    {
      name: "A.3",
      ikm: "0b".repeat(22),
      salt: "",
      info: "",
      okm: "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    },
  ])("RFC 5869 $name: HKDF-SHA-256", ({ ikm, salt, info, okm }) => {
    const output = hkdfSha256({
      ikm: fromHex(ikm),
      salt: fromHex(salt),
      info: fromHex(info),
      length: okm.length / 2,
    });
    expect(hex(output)).toBe(okm);
  });

  it.each([
    {
      name: "TEST 1",
      seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
      message: "",
      signature:
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    },
    {
      name: "TEST 2",
      seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
      message: "72",
      signature:
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    },
  ])("RFC 8032 section 7.1 $name: Ed25519", ({ seed, publicKey, message, signature }) => {
    const key = generateSigningKey(fixed(seed));
    expect(hex(signingPublicKey(key))).toBe(publicKey);
    expect(hex(signEd25519(key, fromHex(message)))).toBe(signature);
    expect(verifyEd25519(fromHex(publicKey), fromHex(message), fromHex(signature))).toBe(true);
    expect(samePublicKey(importSigningKey(exportSigningKey(key)), key)).toBe(true);
  });

  it("RFC 7748 section 6.1: X25519, both ways", () => {
    const alice = generateAgreementKey(fixed(ALICE));
    const bob = generateAgreementKey(fixed(BOB));
    expect(hex(agreementPublicKey(alice))).toBe(
      "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    );
    expect(hex(agreementPublicKey(bob))).toBe(
      "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
    );
    const shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
    expect(hex(agree(alice, agreementPublicKey(bob)) ?? new Uint8Array())).toBe(shared);
    expect(hex(agree(bob, agreementPublicKey(alice)) ?? new Uint8Array())).toBe(shared);
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

const ALICE = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a";
const BOB = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";

function scalar(value: number): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, index) => (index === 0 ? value : 0));
}

function samePublicKey(a: KeyObject, b: KeyObject): boolean {
  return createPublicKey(a).equals(createPublicKey(b));
}
