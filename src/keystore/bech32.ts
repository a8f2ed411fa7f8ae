/**
 * Bech32 (BIP 173) without its limit of 90 characters, on bytes that can be wiped: what it encodes here may be a key.
 */

import { utf8 } from "../core/index.ts";

const ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const CHECK_SYMBOLS = 6;

/** ASCII in lower case; the caller's to wipe. `prefix` is lower-case. Borrows `bytes`. */
export function encodeBech32(prefix: string, bytes: Uint8Array): Uint8Array {
  const data = regrouped(bytes, 8, 5, "padded");
  const check = checkOf(prefix, data) ^ 1;
  const text = new Uint8Array(prefix.length + 1 + data.length + CHECK_SYMBOLS);
  text.set(utf8(`${prefix}1`));
  let offset = prefix.length + 1;
  for (const symbol of data) text[offset++] = ALPHABET.charCodeAt(symbol);
  for (let index = CHECK_SYMBOLS - 1; index >= 0; index -= 1) {
    text[offset++] = ALPHABET.charCodeAt((check >>> (5 * index)) & 31);
  }
  data.fill(0);
  return text;
}

/**
 * The bytes, the caller's to wipe; `undefined` unless `text` is ASCII in one case, begins with `prefix`, and its check
 * symbols and padding are right. Borrows `text`.
 */
export function decodeBech32(prefix: string, text: Uint8Array): Uint8Array | undefined {
  const lower = inOneCase(text);
  const start = prefix.length + 1;
  const head = lower?.subarray(0, start);
  if (lower === undefined || head === undefined || lower.length < start + CHECK_SYMBOLS) return undefined;
  if (String.fromCharCode(...head) !== `${prefix}1`) return undefined;
  const symbols = lower.subarray(start).map((code) => ALPHABET.indexOf(String.fromCharCode(code)) & 0xff);
  lower.fill(0);
  try {
    if (symbols.includes(0xff)) return undefined;
    const data = symbols.subarray(0, -CHECK_SYMBOLS);
    const check = symbols.subarray(-CHECK_SYMBOLS).reduce((sum, symbol) => sum * 32 + symbol, 0);
    if ((checkOf(prefix, data) ^ 1) !== check) return undefined;
    return unpadded(data);
  } finally {
    symbols.fill(0);
  }
}

function inOneCase(text: Uint8Array): Uint8Array | undefined {
  const hasUpper = text.some((code) => code >= 0x41 && code <= 0x5a);
  const hasLower = text.some((code) => code >= 0x61 && code <= 0x7a);
  if (hasUpper && hasLower) return undefined;
  return text.map((code) => (code >= 0x41 && code <= 0x5a ? code + 32 : code));
}

/** What is left over of the last symbol must be short and zero: one key has one text. */
function unpadded(data: Uint8Array): Uint8Array | undefined {
  const restBits = (data.length * 5) % 8;
  const rest = (data.at(-1) ?? 0) & (2 ** restBits - 1);
  return restBits < 5 && rest === 0 ? regrouped(data, 5, 8, "cut") : undefined;
}

function regrouped(from: Uint8Array, fromBits: number, toBits: number, end: "padded" | "cut"): Uint8Array {
  const bits = from.length * fromBits;
  const to = new Uint8Array(end === "padded" ? Math.ceil(bits / toBits) : Math.floor(bits / toBits));
  let [value, held, offset] = [0, 0, 0];
  for (const group of from) {
    value = (value << fromBits) | group;
    held += fromBits;
    for (; held >= toBits; held -= toBits) to[offset++] = (value >>> (held - toBits)) & (2 ** toBits - 1);
    value &= 2 ** held - 1;
  }
  if (offset < to.length) to[offset] = (value << (toBits - held)) & (2 ** toBits - 1);
  return to;
}

/** Over the prefix, the data and six zeros in place of the check symbols. */
function checkOf(prefix: string, data: Uint8Array): number {
  const codes = [...utf8(prefix)];
  const expanded = [...codes.map((code) => code >>> 5), 0, ...codes.map((code) => code & 31)];
  let check = 1;
  for (const symbol of expanded) check = step(check, symbol);
  for (const symbol of data) check = step(check, symbol);
  for (let index = 0; index < CHECK_SYMBOLS; index += 1) check = step(check, 0);
  return check;
}

function step(check: number, symbol: number): number {
  const top = check >>> 25;
  const next = ((check & 0x1ffffff) << 5) ^ symbol;
  return GENERATOR.reduce((sum, term, bit) => ((top >>> bit) & 1 ? sum ^ term : sum), next);
}
