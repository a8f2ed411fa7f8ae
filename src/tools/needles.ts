import { Buffer } from "node:buffer";
import { concat, fromUtf8, GatehouseError, LIMITS, unmovedCopyOf, utf8 } from "../core/index.ts";

/**
 * The byte strings under which the secrets could turn up in output, each of at least `LIMITS.toolSecretBytesMin` bytes:
 * the secret itself and without the white space around it, each line of at least 8 bytes, and of all but the lines:
 * base64 (standard and URL alphabet, at each of the three alignments, padded or not, and in lines of 64 or 76), hex,
 * percent-encoding, JSON escapes, and the reverse.
 *
 * Borrows `secrets`. The answer is the caller's to wipe.
 *
 * @throws GatehouseError `tool.secret-unfit` for one that is too short or too long, or too much together.
 */
export function needlesOf(secrets: readonly Uint8Array[]): readonly Uint8Array[] {
  let sizeBytes = 0;
  for (const secret of secrets) {
    checkSize(secret);
    sizeBytes += secret.length;
  }
  if (sizeBytes > LIMITS.toolSecretsBytes) throw unfit(`more than ${LIMITS.toolSecretsBytes} bytes together`);
  return secrets.flatMap(formsOf).filter((form) => form.length >= LIMITS.toolSecretBytesMin);
}

const LINE_BYTES_MIN = 8;
const BASE64_COLUMNS = [64, 76] as const;

function checkSize({ length }: Uint8Array): void {
  if (length < LIMITS.toolSecretBytesMin) throw unfit(`shorter than ${LIMITS.toolSecretBytesMin} bytes`);
  if (length > LIMITS.toolSecretBytesMax) throw unfit(`longer than ${LIMITS.toolSecretBytesMax} bytes`);
}

function unfit(why: string): GatehouseError<"tool.secret-unfit"> {
  return new GatehouseError(
    "tool.secret-unfit",
    `a secret of the tool cannot be hidden in its output: ${why}`,
    {
      hint: "a tool's secrets have 4 bytes to 64 KiB each; keep a small value elsewhere, and cut a large one in two",
    },
  );
}

function formsOf(secret: Uint8Array): readonly Uint8Array[] {
  const core = trimmed(secret);
  const isSame = core.length === secret.length || core.length < LIMITS.toolSecretBytesMin;
  return eachOnce([...linesOf(secret), ...encodingsOf(secret), ...(isSame ? [] : encodingsOf(core))]);
}

/** Most secrets look the same in several of the forms. Those left out are wiped: no two may share memory. */
function eachOnce(forms: readonly Uint8Array[]): readonly Uint8Array[] {
  const kept = new Map<number, Uint8Array[]>();
  for (const form of forms) {
    const others = kept.get(form.length) ?? [];
    if (others.some((other) => Buffer.compare(other, form) === 0)) form.fill(0);
    else kept.set(form.length, [...others, form]);
  }
  return [...kept.values()].flat();
}

function encodingsOf(secret: Uint8Array): readonly Uint8Array[] {
  return [
    ...[unmovedCopyOf(secret), unmovedCopyOf(secret).reverse()],
    ...[...base64Forms(secret), ...hexForms(secret), ...percentForms(secret), ...textForms(secret)],
  ];
}

/** What shells cut off, and files end with. */
function trimmed(secret: Uint8Array): Uint8Array {
  const isSpace = (byte: number | undefined): boolean =>
    byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 9;
  let [start, end] = [0, secret.length];
  while (start < end && isSpace(secret[start])) start += 1;
  while (start < end && isSpace(secret[end - 1])) end -= 1;
  return secret.subarray(start, end);
}

function linesOf(secret: Uint8Array): readonly Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let start = 0; start <= secret.length; ) {
    const newline = secret.indexOf(0x0a, start);
    const end = newline === -1 ? secret.length : newline;
    const hasReturn = end > start && secret[end - 1] === 0x0d;
    lines.push(unmovedCopyOf(secret.subarray(start, hasReturn ? end - 1 : end)));
    start = end + 1;
  }
  return lines.length === 1 ? [] : lines.filter((line) => line.length >= LINE_BYTES_MIN);
}

/**
 * At alignment a, a bytes of something else share the first group with the secret: the symbols that hold their bits and
 * those after the end are left out, and stay in the output. They hold at most 4 bits of the first and of the last byte.
 */
function base64Forms(secret: Uint8Array): readonly Uint8Array[] {
  return [0, 1, 2].flatMap((alignment) => {
    const shifted = concat(new Uint8Array(alignment), secret);
    const symbols = ascii(shifted, "base64");
    shifted.fill(0);
    const [start, end] = [Math.ceil((alignment * 8) / 6), Math.floor((shifted.length * 8) / 6)];
    const core = symbols.slice(start, end);
    if (alignment !== 0) return [core, urlAlphabet(core)];
    const lines = BASE64_COLUMNS.map((columns) => wrapped(core, columns));
    return [core, urlAlphabet(core), symbols, urlAlphabet(symbols), ...lines];
  });
}

function urlAlphabet(symbols: Uint8Array): Uint8Array {
  return symbols.map((symbol) => (symbol === 0x2b ? 0x2d : symbol === 0x2f ? 0x5f : symbol));
}

function wrapped(symbols: Uint8Array, columns: number): Uint8Array {
  const breaks = Math.max(0, Math.ceil(symbols.length / columns) - 1);
  const lines = new Uint8Array(symbols.length + breaks).fill(0x0a);
  for (let line = 0; line <= breaks; line += 1) {
    lines.set(symbols.subarray(line * columns, (line + 1) * columns), line * (columns + 1));
  }
  return lines;
}

function hexForms(secret: Uint8Array): readonly Uint8Array[] {
  const lower = ascii(secret, "hex");
  return [lower, lower.map((digit) => (digit >= 0x61 ? digit - 0x20 : digit))];
}

/** Left as they are by `encodeURIComponent`, and by RFC 3986 §2.3. */
const URI_COMPONENT = new Set(
  utf8("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~!*'()"),
);
const UNRESERVED = new Set(utf8("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"));

function percentForms(secret: Uint8Array): readonly Uint8Array[] {
  return [URI_COMPONENT, UNRESERVED].flatMap((plain) => [
    percentEncoded(secret, plain, "0123456789ABCDEF"),
    percentEncoded(secret, plain, "0123456789abcdef"),
  ]);
}

function percentEncoded(secret: Uint8Array, plain: ReadonlySet<number>, digits: string): Uint8Array {
  let length = 0;
  for (const byte of secret) length += plain.has(byte) ? 1 : 3;
  const encoded = new Uint8Array(length);
  let offset = 0;
  for (const byte of secret) {
    if (!plain.has(byte)) {
      encoded[offset++] = 0x25;
      encoded[offset++] = digits.charCodeAt(byte >> 4);
    }
    encoded[offset++] = plain.has(byte) ? byte : digits.charCodeAt(byte & 15);
  }
  return encoded;
}

/** JSON's escapes, with characters beyond ASCII as they are and escaped too, and the characters reversed. */
function textForms(secret: Uint8Array): readonly Uint8Array[] {
  const text = textOf(secret);
  if (text === undefined) return [];
  const json = JSON.stringify(text).slice(1, -1);
  const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  const asciiJson = json.replace(/[\u007f-\uffff]/g, escaped);
  return [json, asciiJson, Array.from(text).toReversed().join("")].map(utf8);
}

function textOf(secret: Uint8Array): string | undefined {
  try {
    return fromUtf8(secret);
  } catch {
    return undefined;
  }
}

/** By way of a text: V8 keeps it until it is collected. */
function ascii(bytes: Uint8Array, encoding: "base64" | "hex"): Uint8Array {
  return utf8(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString(encoding));
}
