import { createSecretKey } from "node:crypto";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, systemRandom, utf8 } from "../../src/core/index.ts";
import {
  aeadOpen,
  aeadSeal,
  equalSecrets,
  generateSigningKey,
  LABELS,
  openOnce,
  SEALED_OVERHEAD_BYTES,
  sealOnce,
  signingPublicKey,
  signLabelled,
  verifyLabelled,
} from "../../src/crypto/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const context = {
  key: new SeededRandom(1).bytes(32),
  label: LABELS.vaultValue,
  header: utf8("GHV1"),
  associatedData: utf8("path"),
};
const plaintext = utf8("hunter2");
const sealed = sealOnce({ ...context, plaintext, random: new SeededRandom(2) });

describe("a sealed thing", () => {
  it("opens again, with the key as bytes or as a KeyObject, at every size", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (value) => {
        const bytes = sealOnce({ ...context, plaintext: value, random: systemRandom });
        expect(bytes.length).toBe(value.length + SEALED_OVERHEAD_BYTES);
        expect(openOnce({ ...context, key: createSecretKey(context.key), sealed: bytes })).toEqual(value);
      }),
    );
  });

  it("is laid out as salt, commitment, ciphertext and tag", () => {
    const salt = new SeededRandom(2).bytes(32);
    const okm = hkdf(nobleSha256, context.key, salt, utf8(`${context.label}/key-and-commitment`), 64);
    const bound = concat(context.header, Uint8Array.of(0, 0, 0, 4), context.associatedData);
    const ciphertext = chacha20poly1305(okm.subarray(0, 32), new Uint8Array(12), bound).encrypt(plaintext);
    expect(sealed).toEqual(concat(salt, okm.subarray(32), ciphertext));
  });

  it("stays shut with any bit flipped, cut anywhere, or with bytes added", () => {
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const changed = sealed.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(openOnce({ ...context, sealed: changed }), `bit ${bit}`).toBeUndefined();
    }
    for (let size = 0; size < sealed.length; size += 1) {
      expect(openOnce({ ...context, sealed: sealed.subarray(0, size) }), `${size} bytes`).toBeUndefined();
    }
    expect(openOnce({ ...context, sealed: concat(sealed, Uint8Array.of(0)) })).toBeUndefined();
  });

  it("stays shut under another key, label, header or associated data", () => {
    const others = [
      { ...context, key: new SeededRandom(3).bytes(32) },
      { ...context, label: LABELS.vaultWrappedKey },
      { ...context, header: utf8("GHV2") },
      { ...context, associatedData: utf8("other") },
    ];
    for (const other of others) expect(openOnce({ ...other, sealed })).toBeUndefined();
  });

  it("never comes out the same twice", () => {
    const again = () => sealOnce({ ...context, plaintext, random: systemRandom });
    expect(again()).not.toEqual(again());
  });

  it("takes no key but one of 32 bytes", () => {
    const short = { ...context, key: new Uint8Array(16) };
    expect(() => sealOnce({ ...short, plaintext, random: systemRandom })).toThrow(RangeError);
    expect(() => openOnce({ ...short, sealed })).toThrow(RangeError);
  });
});

describe("the bare AEAD", () => {
  it("names a wrong key or nonce length as misuse", () => {
    const empty = new Uint8Array();
    const bare = { key: new Uint8Array(32), nonce: new Uint8Array(12), associatedData: empty };
    expect(() => aeadSeal({ ...bare, nonce: empty, plaintext })).toThrow("nonce of 0 bytes");
    expect(() => aeadOpen({ ...bare, key: empty, sealed })).toThrow("key of 0 bytes");
    expect(aeadOpen({ ...bare, sealed: new Uint8Array(15) })).toBeUndefined();
  });
});

describe("labels", () => {
  it("are all different", () => {
    const texts = Object.values(LABELS);
    expect(new Set(texts).size).toBe(texts.length);
    for (const text of texts) expect(text).toMatch(/^gatehouse\/v1\//);
  });

  it("keep a signature made for one purpose from serving another", () => {
    const key = generateSigningKey();
    const signature = signLabelled(key, LABELS.tlsBinding, plaintext);
    const publicKey = signingPublicKey(key);
    expect(verifyLabelled(publicKey, LABELS.tlsBinding, plaintext, signature)).toBe(true);
    expect(verifyLabelled(publicKey, LABELS.agreementBinding, plaintext, signature)).toBe(false);
  });
});

describe("comparing secrets", () => {
  it("is true for the same bytes only", () => {
    expect(equalSecrets(utf8("abc"), utf8("abc"))).toBe(true);
    expect(equalSecrets(utf8("abc"), utf8("abd"))).toBe(false);
    expect(equalSecrets(utf8("abc"), utf8("ab"))).toBe(false);
  });
});
