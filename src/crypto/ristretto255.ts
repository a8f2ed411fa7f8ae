import { ristretto255_hasher } from "@noble/curves/ed25519.js";
import { invariant, type Random } from "../core/index.ts";

/**
 * The ristretto255 group (RFC 9496), for CPace. Elements are 32 canonical bytes, scalars 32 bytes little-endian.
 * OpenSSL has no ristretto255, so this one runs on noble in both senses.
 */

const { Point } = ristretto255_hasher;
const ORDER = Point.Fn.ORDER;

export const ristretto255 = {
  /** Element derivation (RFC 9496 §4.3.4) from exactly 64 uniform bytes, such as a SHA-512 output. */
  hashToPoint(uniform: Uint8Array): Uint8Array {
    if (uniform.length !== 64) throw new RangeError(`hashToPoint: ${uniform.length} bytes, not 64`);
    const element = ristretto255_hasher.deriveToCurve?.(uniform);
    invariant(element, "noble has ristretto255's one-way map");
    return element.toBytes();
  },

  /** `undefined` when `point` is not a canonical encoding, or the product is the identity. */
  multiply(point: Uint8Array, scalar: Uint8Array): Uint8Array | undefined {
    if (scalar.length !== 32) throw new RangeError(`multiply: scalar of ${scalar.length} bytes, not 32`);
    const factor = littleEndian(scalar) % ORDER;
    const element = decode(point);
    if (element === undefined || factor === 0n) return undefined;
    const product = element.multiply(factor);
    return product.is0() ? undefined : product.toBytes();
  },

  /** Uniform in 1 … order − 1 (bias below 2^−250). The caller's to wipe. */
  randomScalar(random: Random): Uint8Array {
    const wide = random.bytes(64);
    const scalar = (littleEndian(wide) % (ORDER - 1n)) + 1n;
    wide.fill(0);
    return Point.Fn.toBytes(scalar);
  },
} as const;

function decode(bytes: Uint8Array): InstanceType<typeof Point> | undefined {
  try {
    const element = Point.fromBytes(bytes);
    return element.is0() ? undefined : element;
  } catch {
    return undefined;
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
