/**
 * ristretto255 as RFC 9496 §4 writes it, over BigInt: slow, not in constant time, easy to hold beside the text. Names of
 * values are the RFC's.
 */

const P = 2n ** 255n - 19n;
export const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

const mod = (value: bigint): bigint => {
  const rest = value % P;
  return rest < 0n ? rest + P : rest;
};

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  let square = mod(base);
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = mod(result * square);
    square = mod(square * square);
  }
  return result;
}

const D = mod(-121665n * power(121666n, P - 2n));
const SQRT_M1 = power(2n, (P - 1n) / 4n);
/** Of the two roots, the ones that RFC 9496 §4.1 prints. */
const SQRT_AD_MINUS_ONE = 25063068953384623474111414158702152701244531502492656460079210482610430750235n;
const INVSQRT_A_MINUS_D = 54469307008909316920995813868745141605393597292927456921205312896311721017578n;
const ONE_MINUS_D_SQ = mod(1n - D * D);
const D_MINUS_ONE_SQ = mod((D - 1n) * (D - 1n));

const isNegative = (value: bigint): boolean => mod(value) % 2n === 1n;
const absolute = (value: bigint): bigint => (isNegative(value) ? mod(-value) : mod(value));

/** §4.2, SQRT_RATIO_M1. */
function sqrtRatio(u: bigint, v: bigint): { readonly wasSquare: boolean; readonly root: bigint } {
  const v3 = mod(v * v * v);
  let root = mod(u * v3 * power(u * v3 * v3 * v, (P - 5n) / 8n));
  const check = mod(v * root * root);
  const isCorrect = check === mod(u);
  const isFlipped = check === mod(-u);
  if (isFlipped || check === mod(-u * SQRT_M1)) root = mod(root * SQRT_M1);
  return { wasSquare: isCorrect || isFlipped, root: absolute(root) };
}

/** An internal representation: extended coordinates on edwards25519. */
export interface Element {
  readonly x: bigint;
  readonly y: bigint;
  readonly z: bigint;
  readonly t: bigint;
}

const IDENTITY: Element = { x: 0n, y: 1n, z: 1n, t: 0n };

const littleEndian = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((value, byte) => value * 256n + BigInt(byte), 0n);

const toBytes = (value: bigint): Uint8Array =>
  Uint8Array.from({ length: 32 }, (_, index) => Number((value >> BigInt(8 * index)) & 255n));

/** §4.3.1. `undefined` for anything but the one encoding of an element. */
export function decode(bytes: Uint8Array): Element | undefined {
  const s = littleEndian(bytes);
  if (bytes.length !== 32 || s >= P || isNegative(s)) return undefined;
  const ss = mod(s * s);
  const u1 = mod(1n - ss);
  const u2 = mod(1n + ss);
  const u2Square = mod(u2 * u2);
  const v = mod(-(D * u1 * u1) - u2Square);
  const { wasSquare, root } = sqrtRatio(1n, mod(v * u2Square));
  const denominatorX = mod(root * u2);
  const denominatorY = mod(root * denominatorX * v);
  const x = absolute(2n * s * denominatorX);
  const y = mod(u1 * denominatorY);
  const t = mod(x * y);
  return !wasSquare || isNegative(t) || y === 0n ? undefined : { x, y, z: 1n, t };
}

/** §4.3.2. */
export function encode({ x: x0, y: y0, z: z0, t: t0 }: Element): Uint8Array {
  const u1 = mod((z0 + y0) * (z0 - y0));
  const u2 = mod(x0 * y0);
  const { root } = sqrtRatio(1n, mod(u1 * u2 * u2));
  const denominator1 = mod(root * u1);
  const denominator2 = mod(root * u2);
  const zInverse = mod(denominator1 * denominator2 * t0);
  const isRotated = isNegative(t0 * zInverse);
  const x = isRotated ? mod(y0 * SQRT_M1) : x0;
  const y = isRotated ? mod(x0 * SQRT_M1) : y0;
  const inverse = isRotated ? mod(denominator1 * INVSQRT_A_MINUS_D) : denominator2;
  const sign = isNegative(x * zInverse) ? -1n : 1n;
  return toBytes(absolute(inverse * (z0 - sign * y)));
}

/** §4.3.4: both halves of 64 bytes, mapped and added. */
export function derive(uniform: Uint8Array): Element {
  const half = (bytes: Uint8Array): bigint => mod(littleEndian(bytes) % 2n ** 255n);
  return add(map(half(uniform.subarray(0, 32))), map(half(uniform.subarray(32, 64))));
}

/** §4.3.4, MAP. */
function map(t: bigint): Element {
  const r = mod(SQRT_M1 * t * t);
  const u = mod((r + 1n) * ONE_MINUS_D_SQ);
  const v = mod((-1n - r * D) * (r + D));
  const { wasSquare, root } = sqrtRatio(u, v);
  const s = wasSquare ? root : mod(-absolute(root * t));
  const c = wasSquare ? -1n : r;
  const n = mod(c * (r - 1n) * D_MINUS_ONE_SQ - v);
  const w0 = mod(2n * s * v);
  const w1 = mod(n * SQRT_AD_MINUS_ONE);
  const w2 = mod(1n - s * s);
  const w3 = mod(1n + s * s);
  return { x: mod(w0 * w3), y: mod(w2 * w1), z: mod(w1 * w3), t: mod(w0 * w2) };
}

/** RFC 8032 §5.1.4, which is complete: it doubles too. */
function add(a: Element, b: Element): Element {
  const A = mod((a.y - a.x) * (b.y - b.x));
  const B = mod((a.y + a.x) * (b.y + b.x));
  const C = mod(2n * D * a.t * b.t);
  const twiceZ = mod(2n * a.z * b.z);
  const [e, f, g, h] = [B - A, twiceZ - C, twiceZ + C, B + A];
  return { x: mod(e * f), y: mod(g * h), z: mod(f * g), t: mod(e * h) };
}

/** `scalar` is 32 bytes, little-endian. */
export function multiply(element: Element, scalar: Uint8Array): Element {
  let product = IDENTITY;
  let power2 = element;
  for (let rest = littleEndian(scalar) % ORDER; rest > 0n; rest >>= 1n) {
    if (rest & 1n) product = add(product, power2);
    power2 = add(power2, power2);
  }
  return product;
}

/** The identity has one encoding: zeros. */
export const isIdentity = (element: Element): boolean => encode(element).every((byte) => byte === 0);

/** Uniform in 1 … ORDER − 1 from 64 random bytes. */
export const scalarOf = (wide: Uint8Array): Uint8Array => toBytes((littleEndian(wide) % (ORDER - 1n)) + 1n);
