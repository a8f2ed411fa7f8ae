/** DER, as much of it as certificates and requests have. */
import { concat, fromHex, hex } from "./bytes.ts";

export function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = concat(...parts);
  const { length } = content;
  const head = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return concat(Uint8Array.of(tag, ...head), content);
}

export const sequence = (...parts: readonly Uint8Array[]): Uint8Array => der(0x30, ...parts);
export const objectId = (contents: string): Uint8Array => der(0x06, fromHex(contents));
export const bits = (content: Uint8Array): Uint8Array => der(0x03, Uint8Array.of(0), content);

export class NotDer extends Error {
  override readonly name = "NotDer";
}

export interface Node {
  readonly tag: number;
  readonly content: Uint8Array;
  /** Tag and length included. */
  readonly whole: Uint8Array;
}

/** The one element that `bytes` are. */
export function only(bytes: Uint8Array, tag: number): Node {
  const [node, ...more] = elements(bytes);
  if (node?.tag !== tag || more.length > 0) throw new NotDer(`not one element ${tag}`);
  return node;
}

/** The elements that `bytes` are a row of. */
export function elements(bytes: Uint8Array): readonly Node[] {
  const nodes: Node[] = [];
  for (let at = 0; at < bytes.length; ) {
    const { start, end } = extent(bytes, at);
    nodes.push({ tag: bytes[at] ?? 0, content: bytes.slice(start, end), whole: bytes.slice(at, end) });
    at = end;
  }
  return nodes;
}

function extent(bytes: Uint8Array, at: number): { readonly start: number; readonly end: number } {
  const first = bytes[at + 1] ?? 0xff;
  const count = first < 0x80 ? 0 : first - 0x80;
  if (count > 2 || (first >= 0x80 && count === 0)) throw new NotDer("an indefinite or vast length");
  const start = at + 2 + count;
  const length = count === 0 ? first : Number(`0x${hex(bytes.slice(at + 2, start))}`);
  const least = [0, 0x80, 0x100][count] ?? 0;
  if (length < least) throw new NotDer("a length in more bytes than needed");
  if (!(start + length <= bytes.length)) throw new NotDer("cut off");
  return { start, end: start + length };
}

/** The next element of a row, which has to have `tag`. */
export function take(row: Node[], tag: number): Node {
  const node = row.shift();
  if (node?.tag !== tag) throw new NotDer(`element ${node?.tag} where ${tag} was due`);
  return node;
}

export function end(row: readonly Node[]): void {
  if (row.length > 0) throw new NotDer("something left over");
}

export const bitsOf = ({ content }: Node): Uint8Array => {
  if (content[0] !== 0) throw new NotDer("not whole bytes");
  return content.slice(1);
};
