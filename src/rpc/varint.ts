/** Protobuf varints of up to 32 bits. */

export interface Varint {
  readonly value: number;
  /** Offset of the first byte after it. */
  readonly end: number;
}

/** Undefined when it is cut off, longer than five bytes or above 2^32 − 1. */
export function varintAt(bytes: Uint8Array, start: number): Varint | undefined {
  let value = 0;
  for (let at = start; at < bytes.length && at < start + 5; at += 1) {
    const byte = bytes[at] ?? 0;
    value += (byte & 0x7f) * 2 ** (7 * (at - start));
    if (byte < 0x80) return value <= 0xffff_ffff ? { value, end: at + 1 } : undefined;
  }
  return undefined;
}

/** Bytes that `value`, a whole number below 2^32, takes. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < 0x1000_0000 ? 4 : 5;
}

/** Writes the shortest form; answers the offset after it. */
export function putVarint(target: Uint8Array, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    target[at] = (rest & 0x7f) | 0x80;
    rest = Math.floor(rest / 128);
    at += 1;
  }
  target[at] = rest;
  return at + 1;
}
