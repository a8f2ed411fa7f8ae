import { createSecretKey, generateKeyPairSync } from "node:crypto";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { ed25519, ristretto255_hasher, x25519 } from "@noble/curves/ed25519.js";
import { p256 } from "@noble/curves/nist.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 as nobleSha256, sha512 as nobleSha512 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Random, utf8 } from "../../src/core/index.ts";
import {
  aeadOpen,
  aeadSeal,
  agree,
  agreementPublicKey,
  exportAgreementKey,
  exportSigningKey,
  exportTlsKey,
  generateAgreementKey,
  generateSigningKey,
  generateTlsKey,
  hkdfSha256,
  hkdfSha512,
  hmacSha256,
  hmacSha512,
  importAgreementKey,
  importSigningKey,
  importTlsKey,
  ristretto255,
  sha256,
  sha512,
  signEd25519,
  signingPublicKey,
  signP256,
  tlsKeyPem,
  tlsPublicKey,
  verifyEd25519,
  verifyP256,
} from "../../src/crypto/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const fixed = (bytes: Uint8Array): Random => ({ bytes: () => bytes.slice() });
const key32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const data = fc.uint8Array({ maxLength: 300 });
const SPKI_POINT_AT = 26;

describe("ours and the second implementation", () => {
  it("agree on every hash, MAC and derived key", () => {
    fc.assert(
      fc.property(data, data, key32, fc.integer({ min: 1, max: 200 }), (a, b, key, length) => {
        expect(sha256(a, b)).toEqual(nobleSha256(Uint8Array.of(...a, ...b)));
        expect(sha512(a, b)).toEqual(nobleSha512(Uint8Array.of(...a, ...b)));
        expect(hmacSha256(key, a, b)).toEqual(hmac(nobleSha256, key, Uint8Array.of(...a, ...b)));
        expect(hmacSha512(createSecretKey(key), a)).toEqual(hmac(nobleSha512, key, a));
        const input = { ikm: key, salt: a, info: b, length };
        expect(hkdfSha256(input)).toEqual(hkdf(nobleSha256, key, a, b, length));
        expect(hkdfSha512({ ...input, ikm: createSecretKey(key) })).toEqual(
          hkdf(nobleSha512, key, a, b, length),
        );
      }),
    );
  });

  it("seal to the same bytes and open each other's", () => {
    const nonces = fc.uint8Array({ minLength: 12, maxLength: 12 });
    fc.assert(
      fc.property(key32, nonces, data, data, (key, nonce, associatedData, plaintext) => {
        const sealed = aeadSeal({ key: createSecretKey(key), nonce, associatedData, plaintext });
        expect(sealed).toEqual(chacha20poly1305(key, nonce, associatedData).encrypt(plaintext));
        expect(aeadOpen({ key, nonce, associatedData, sealed })).toEqual(plaintext);
      }),
    );
  });

  it("sign the same and verify each other's Ed25519 signatures", () => {
    fc.assert(
      fc.property(key32, data, (seed, message) => {
        const key = generateSigningKey(fixed(seed));
        const publicKey = ed25519.getPublicKey(seed);
        expect(signingPublicKey(key)).toEqual(publicKey);
        expect(signEd25519(key, message)).toEqual(ed25519.sign(message, seed));
        expect(verifyEd25519(publicKey, message, ed25519.sign(message, seed))).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  it("agree on the same X25519 secrets", () => {
    fc.assert(
      fc.property(key32, key32, (mine, theirs) => {
        const key = generateAgreementKey(fixed(mine));
        const theirPublic = x25519.getPublicKey(theirs);
        expect(agreementPublicKey(key)).toEqual(x25519.getPublicKey(mine));
        expect(agree(key, theirPublic)).toEqual(x25519.getSharedSecret(mine, theirPublic));
      }),
      { numRuns: 20 },
    );
  });

  it("make the same P-256 key and verify each other's signatures", () => {
    const message = utf8("to be signed");
    for (let seed = 0; seed < 20; seed += 1) {
      const random = new SeededRandom(seed);
      const key = generateTlsKey(random);
      const scalar = new SeededRandom(seed).bytes(32);
      const point = tlsPublicKey(key).subarray(SPKI_POINT_AT);
      expect(point).toEqual(p256.getPublicKey(scalar, false));
      expect(p256.verify(signP256(key, message), message, point, { format: "der", lowS: false })).toBe(true);
      expect(verifyP256(tlsPublicKey(key), message, p256.sign(message, scalar, { format: "der" }))).toBe(
        true,
      );
    }
  });
});

describe("long-lived keys", () => {
  it("come back from PKCS#8 as the same key", () => {
    const signing = generateSigningKey();
    expect(signingPublicKey(importSigningKey(exportSigningKey(signing)))).toEqual(signingPublicKey(signing));
    const agreement = generateAgreementKey();
    const reread = importAgreementKey(exportAgreementKey(agreement));
    expect(agreementPublicKey(reread)).toEqual(agreementPublicKey(agreement));
    const tls = generateTlsKey();
    expect(tlsPublicKey(importTlsKey(exportTlsKey(tls)))).toEqual(tlsPublicKey(tls));
    expect(tlsKeyPem(tls)).toMatch(/^-----BEGIN PRIVATE KEY-----/);
  });

  it("are refused when truncated, of another type or on another curve", () => {
    const signing = exportSigningKey(generateSigningKey());
    const agreement = exportAgreementKey(generateAgreementKey());
    expect(() => importSigningKey(agreement)).toThrow(RangeError);
    expect(() => importAgreementKey(signing)).toThrow(RangeError);
    expect(() => importTlsKey(signing)).toThrow(RangeError);
    const p384 = generateKeyPairSync("ec", { namedCurve: "secp384r1" }).privateKey;
    expect(() => importTlsKey(p384.export({ format: "der", type: "pkcs8" }))).toThrow("not a P-256");
    for (let size = 0; size < signing.length; size += 1) {
      expect(() => importSigningKey(signing.subarray(0, size)), `${size} bytes`).toThrow(RangeError);
    }
  });
});

describe("bad public keys and signatures", () => {
  it("make verification false, never an exception", () => {
    const key = generateSigningKey();
    const message = utf8("m");
    const signature = signEd25519(key, message);
    const good = signingPublicKey(key);
    expect(verifyEd25519(good, message, signature)).toBe(true);
    fc.assert(
      fc.property(data, data, (publicKey, bytes) => {
        expect(verifyEd25519(publicKey, message, signature)).toBe(false);
        expect(verifyEd25519(good, message, bytes)).toBe(false);
        expect(verifyP256(publicKey, message, bytes)).toBe(false);
      }),
    );
  });

  it("include every Ed25519 key of small order", () => {
    const message = utf8("anything");
    const base = ed25519.Point.fromHex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05");
    for (let factor = 1n; factor <= 8n; factor += 1n) {
      const publicKey = base.multiplyUnsafe(factor).toBytes();
      const universal = new Uint8Array(64);
      universal.set(publicKey);
      expect(base.multiplyUnsafe(factor).isSmallOrder()).toBe(true);
      expect(verifyEd25519(publicKey, message, universal)).toBe(false);
    }
    const identity = ed25519.Point.ZERO.toBytes();
    const forged = new Uint8Array(64);
    forged.set(identity);
    expect(verifyEd25519(identity, message, forged)).toBe(false);
  });

  it("include X25519 keys that make the all-zero secret", () => {
    const key = generateAgreementKey();
    expect(agree(key, new Uint8Array(32))).toBeUndefined();
    expect(
      agree(
        key,
        Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? 1 : 0)),
      ),
    ).toBeUndefined();
    expect(agree(key, new Uint8Array(31))).toBeUndefined();
  });
});

describe("ristretto255", () => {
  const generator = ristretto255_hasher.Point.BASE.toBytes();

  it("gives both sides of a Diffie–Hellman the same element", () => {
    const random = new SeededRandom(1);
    const [a, b] = [ristretto255.randomScalar(random), ristretto255.randomScalar(random)];
    const base = ristretto255.hashToPoint(random.bytes(64));
    const viaA = ristretto255.multiply(ristretto255.multiply(base, a) ?? base, b);
    const viaB = ristretto255.multiply(ristretto255.multiply(base, b) ?? base, a);
    expect(viaA).toEqual(viaB);
    expect(viaA).not.toEqual(base);
  });

  it("refuses the identity and encodings that are not canonical", () => {
    const scalar = ristretto255.randomScalar(new SeededRandom(2));
    const nonCanonical = [
      new Uint8Array(32),
      // RFC 9496 A.2: non-canonical field elements, then negative ones.
      Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? 0x00 : 0xff)),
      Uint8Array.from({ length: 32 }, () => 0xff),
      Uint8Array.from({ length: 32 }, (_, at) => (at === 0 ? 1 : 0)),
      generator.subarray(1),
      Uint8Array.of(...generator, 0),
    ];
    for (const point of nonCanonical) expect(ristretto255.multiply(point, scalar)).toBeUndefined();
  });

  it("never answers the identity", () => {
    expect(ristretto255.multiply(generator, new Uint8Array(32))).toBeUndefined();
  });
});
