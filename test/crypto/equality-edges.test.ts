import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromHex, LIMITS, type Random } from "../../src/core/index.ts";
import {
  aeadOpen,
  aeadSeal,
  agree,
  generateAgreementKey,
  generateSigningKey,
  hkdfSha256,
  signEd25519,
  verifyEd25519,
} from "../../src/crypto/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const EMPTY = new Uint8Array();
const fixed = (bytes: Uint8Array): Random => ({ bytes: () => bytes.slice() });
const exactly = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const data = fc.uint8Array({ maxLength: 200 });

/** Little-endian, with nothing reduced. */
function encoded(value: bigint, length = 32): Uint8Array {
  return fromHex(value.toString(16).padStart(2 * length, "0")).reverse();
}

function withBitFlipped(bytes: Uint8Array, bit: number): Uint8Array {
  return bytes.map((byte, index) => (index === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
}

/** `undefined` where the second implementation throws. */
function answer(call: () => Uint8Array): Uint8Array | undefined {
  try {
    return call();
  } catch {
    return undefined;
  }
}

describe("ours and the second implementation, sealing", () => {
  const context = { key: new SeededRandom(1).bytes(32), nonce: new SeededRandom(2).bytes(12) };
  const noble = (associatedData: Uint8Array) => chacha20poly1305(context.key, context.nonce, associatedData);

  it.each([0, 1, 15, 16, 17, 63, 64, 65, 65_535, 65_536, LIMITS.secretValueBytes, LIMITS.vaultGroupBytes])(
    "%i bytes, with nothing beside them and with as much, give the same bytes",
    (size) => {
      const plaintext = new Uint8Array(size).fill(0xa5);
      for (const associatedData of [EMPTY, plaintext.subarray(0, 65_536)]) {
        const sealed = aeadSeal({ ...context, associatedData, plaintext });
        expect(Buffer.compare(sealed, noble(associatedData).encrypt(plaintext))).toBe(0);
        const opened = aeadOpen({ ...context, associatedData, sealed });
        expect(opened && Buffer.compare(opened, plaintext)).toBe(0);
      }
    },
  );

  it("both refuse what has any bit flipped, or was cut, anywhere", () => {
    fc.assert(
      fc.property(data, data, fc.nat(), fc.nat(), (associatedData, plaintext, bit, cut) => {
        const sealed = aeadSeal({ ...context, associatedData, plaintext });
        const others = [
          withBitFlipped(sealed, bit % (sealed.length * 8)),
          sealed.subarray(0, cut % sealed.length),
        ];
        for (const other of others) {
          expect(aeadOpen({ ...context, associatedData, sealed: other })).toBeUndefined();
          expect(answer(() => noble(associatedData).decrypt(other))).toBeUndefined();
        }
      }),
    );
  });

  it("both refuse every one of the tag's 128 bits flipped", () => {
    const sealed = aeadSeal({ ...context, associatedData: EMPTY, plaintext: EMPTY });
    expect(sealed).toHaveLength(16);
    for (let bit = 0; bit < 128; bit += 1) {
      const other = withBitFlipped(sealed, bit);
      expect(aeadOpen({ ...context, associatedData: EMPTY, sealed: other })).toBeUndefined();
      expect(answer(() => noble(EMPTY).decrypt(other))).toBeUndefined();
    }
  });
});

describe("ours and the second implementation, deriving", () => {
  const MAX = 255 * 32;

  it.each([1, 31, 32, 33, 64, MAX])("%i bytes of nothing at all and of something give the same", (length) => {
    const some = new SeededRandom(3).bytes(200);
    for (const [ikm, salt, info] of [
      [EMPTY, EMPTY, EMPTY],
      [some, EMPTY, EMPTY],
      [EMPTY, some, some],
    ] as const) {
      expect(hkdfSha256({ ikm, salt, info, length })).toEqual(hkdf(nobleSha256, ikm, salt, info, length));
    }
  });

  it("take 1 024 bytes of info, ours no more than that", () => {
    const info = new Uint8Array(1_024).fill(7);
    const input = { ikm: EMPTY, salt: EMPTY, length: 32 };
    expect(hkdfSha256({ ...input, info })).toEqual(hkdf(nobleSha256, EMPTY, EMPTY, info, 32));
    expect(() => hkdfSha256({ ...input, info: new Uint8Array(1_025) })).toThrow(RangeError);
  });

  it("both refuse a byte more than 255 hashes", () => {
    expect(() => hkdfSha256({ ikm: EMPTY, salt: EMPTY, info: EMPTY, length: MAX + 1 })).toThrow(RangeError);
    expect(() => hkdf(nobleSha256, EMPTY, EMPTY, EMPTY, MAX + 1)).toThrow("Length must be <= 255*HashLen");
  });
});

/** 2^255 − 19. */
const P = (1n << 255n) - 19n;

describe("ours and the second implementation, agreeing", () => {
  const share = (secret: Uint8Array, other: Uint8Array) => agree(generateAgreementKey(fixed(secret)), other);

  /** Every encoding of a point of low order; the second half has the bit set that RFC 7748 §5 masks. */
  const lowOrder = [
    ...[0n, 1n, P - 1n, P, P + 1n].map((u) => encoded(u)),
    fromHex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    fromHex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
  ].flatMap((point) => [point, withBitFlipped(point, 255)]);

  it("both refuse every point of low order, whatever the secret", () => {
    expect(lowOrder).toHaveLength(14);
    fc.assert(
      fc.property(exactly(32), fc.constantFrom(...lowOrder), (secret, point) => {
        expect(share(secret, point)).toBeUndefined();
        expect(answer(() => x25519.getSharedSecret(secret, point))).toBeUndefined();
      }),
    );
  });

  it("give the same for any 32 bytes, on the curve, on its twist, or not canonical", () => {
    const nonCanonical = fc.bigInt({ min: P, max: (1n << 255n) - 1n }).map((u) => encoded(u));
    const masked = exactly(32).map((point) => point.with(31, (point[31] ?? 0) | 0x80));
    fc.assert(
      fc.property(exactly(32), fc.oneof(exactly(32), nonCanonical, masked), (secret, point) => {
        expect(share(secret, point)).toEqual(answer(() => x25519.getSharedSecret(secret, point)));
      }),
      { numRuns: 100 },
    );
  });

  it("take a coordinate that is not canonical for the one it stands for", () => {
    const secret = new SeededRandom(4).bytes(32);
    for (let u = 2n; u < 19n; u += 1n)
      expect(share(secret, encoded(u + P))).toEqual(share(secret, encoded(u)));
  });
});

describe("ours and the second implementation, verifying", () => {
  const ORDER = ed25519.Point.Fn.ORDER;
  const strictly = (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean => {
    try {
      return ed25519.verify(signature, message, publicKey, { zip215: false });
    } catch {
      return false;
    }
  };
  const judged = (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean => {
    const verdict = verifyEd25519(publicKey, message, signature);
    expect(strictly(signature, message, publicKey)).toBe(verdict);
    return verdict;
  };

  it("judge alike a signature, its key and its message with any bit flipped, and empty ones", () => {
    fc.assert(
      fc.property(exactly(32), data, fc.nat({ max: 511 }), (seed, message, bit) => {
        const signature = signEd25519(generateSigningKey(fixed(seed)), message);
        const publicKey = ed25519.getPublicKey(seed);
        expect(judged(signature, message, publicKey)).toBe(true);
        expect(judged(withBitFlipped(signature, bit), message, publicKey)).toBe(false);
        expect(judged(signature, message, withBitFlipped(publicKey, bit % 256))).toBe(false);
        expect(judged(signature, Uint8Array.of(...message, 0), publicKey)).toBe(false);
        expect(judged(EMPTY, message, publicKey)).toBe(false);
        expect(judged(signature, message, EMPTY)).toBe(false);
      }),
      { numRuns: 20 },
    );
  });

  it("both refuse a scalar with the group's order added", () => {
    fc.assert(
      fc.property(exactly(32), data, (seed, message) => {
        const signature = ed25519.sign(message, seed);
        const scalar = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString("hex")}`);
        const other = Uint8Array.of(...signature.subarray(0, 32), ...encoded(scalar + ORDER));
        expect(judged(other, message, ed25519.getPublicKey(seed))).toBe(false);
      }),
      { numRuns: 20 },
    );
  });

  it("both refuse keys and points that are not canonical", () => {
    const message = Uint8Array.of(1);
    const seed = new SeededRandom(5).bytes(32);
    const signature = ed25519.sign(message, seed);
    for (let y = 0n; y < 19n; y += 1n) {
      for (const point of [encoded(y + P), withBitFlipped(encoded(y + P), 255)]) {
        expect(judged(signature, message, point)).toBe(false);
        const withPoint = Uint8Array.of(...point, ...signature.subarray(32));
        expect(judged(withPoint, message, ed25519.getPublicKey(seed))).toBe(false);
        // With a scalar of nothing, R alone has to match: what lets forgeries under weak points through.
        expect(judged(Uint8Array.of(...point, ...new Uint8Array(32)), message, point)).toBe(false);
      }
    }
  });

  it("sign and verify a message as large as a call", () => {
    const message = new Uint8Array(LIMITS.messageBytes).fill(0x5a);
    const seed = new SeededRandom(6).bytes(32);
    const signature = signEd25519(generateSigningKey(fixed(seed)), message);
    expect(signature).toEqual(ed25519.sign(message, seed));
    expect(judged(signature, message, ed25519.getPublicKey(seed))).toBe(true);
  });
});
