import { KEY_BYTES } from "./key-provider.ts";

/**
 * Keys as other programs write them. Read digit by digit: a string of them could not be wiped.
 *
 * | bytes | form |
 * | --- | --- |
 * | 32 | raw |
 * | 64 | hex digits, and perhaps a line end |
 * | 44 | base64 (RFC 4648 §4) with its `=`, and perhaps a line end |
 */

const HEX_CHARACTERS = 2 * KEY_BYTES;
const BASE64_CHARACTERS = 44;

/** The longest form, with a line end of two characters. */
export const KEY_TEXT_BYTES_MAX = HEX_CHARACTERS + 2;

/** 32 bytes, the caller's to wipe; `undefined` when `bytes` are a key in none of the forms. Borrows `bytes`. */
export function parseKey(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length === KEY_BYTES) return new Uint8Array(bytes);
  const text = withoutLineEnd(bytes);
  if (text.length === HEX_CHARACTERS) return decode(text, hexDigit, 4);
  const isPadded = text.length === BASE64_CHARACTERS && text.at(-1) === 0x3d;
  return isPadded ? decode(text.subarray(0, -1), base64Digit, 6) : undefined;
}

/** 64 lower-case hex digits, the caller's to wipe. Borrows `key`. */
export function formatKey(key: Uint8Array): Uint8Array {
  const text = new Uint8Array(2 * key.length);
  key.forEach((byte, index) => {
    text[2 * index] = hexCharacter(byte >> 4);
    text[2 * index + 1] = hexCharacter(byte & 15);
  });
  return text;
}

function hexCharacter(digit: number): number {
  return digit < 10 ? 0x30 + digit : 0x61 + digit - 10;
}

function withoutLineEnd(bytes: Uint8Array): Uint8Array {
  if (bytes.at(-1) !== 0x0a) return bytes;
  return bytes.subarray(0, bytes.at(-2) === 0x0d ? -2 : -1);
}

/** Bits left over at the end must be zero. */
function decode(
  text: Uint8Array,
  digitOf: (character: number) => number | undefined,
  bits: 4 | 6,
): Uint8Array | undefined {
  const key = new Uint8Array(KEY_BYTES);
  let [held, heldBits, count] = [0, 0, 0];
  for (const character of text) {
    const digit = digitOf(character);
    if (digit === undefined) return undefined;
    held = (held << bits) | digit;
    heldBits += bits;
    if (heldBits < 8) continue;
    heldBits -= 8;
    key[count] = held >> heldBits;
    count += 1;
    held &= (1 << heldBits) - 1;
  }
  return held === 0 ? key : undefined;
}

function hexDigit(character: number): number | undefined {
  if (character >= 0x30 && character <= 0x39) return character - 0x30;
  const letter = character | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : undefined;
}

function base64Digit(character: number): number | undefined {
  if (character >= 0x41 && character <= 0x5a) return character - 0x41;
  if (character >= 0x61 && character <= 0x7a) return character - 0x61 + 26;
  if (character >= 0x30 && character <= 0x39) return character - 0x30 + 52;
  if (character === 0x2b) return 62;
  return character === 0x2f ? 63 : undefined;
}
