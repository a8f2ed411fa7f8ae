import { ByteReader, ByteWriter, concat, MalformedBytes } from "../core/index.ts";

/** Tags of X.690 that certificates use. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** `[number]`, around other elements. */
export const explicit = (number: number): number => 0xa0 | number;
/** `[number]`, in place of a primitive element's own tag. */
export const implicit = (number: number): number => 0x80 | number;

const LENGTH_BYTES_MAX = 2;

/** One element with the `parts` joined as its content; at most 65 535 bytes. */
export function element(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = concat(...parts);
  const writer = new ByteWriter().u8(tag);
  if (content.length < 0x80) writer.u8(content.length);
  else if (content.length < 0x100) writer.u8(0x81).u8(content.length);
  else writer.u8(0x82).u16(content.length);
  return writer.raw(content).finish();
}

/**
 * Reads DER (X.690 §10) one element at a time and accepts one encoding of everything: definite, shortest lengths up to
 * 65 535, one-byte tags. Answers are views of the input.
 *
 * Every method throws MalformedBytes on anything else, and when the next element is not the wanted one.
 */
export class DerReader {
  readonly #bytes: Uint8Array;
  readonly #reader: ByteReader;

  /** Borrows `bytes`. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#reader = new ByteReader(bytes);
  }

  /** Whether an element with `tag` comes next. */
  has(tag: number): boolean {
    return this.#bytes[this.#reader.offset] === tag;
  }

  get isAtEnd(): boolean {
    return this.#reader.remaining === 0;
  }

  /** The content of the next element. */
  content(tag: number): Uint8Array {
    const found = this.#reader.u8();
    if (found !== tag) throw new MalformedBytes(`element ${found} where ${tag} was expected`);
    return this.#reader.raw(this.#length());
  }

  /** The next element whole, tag and length included. */
  whole(tag: number): Uint8Array {
    const start = this.#reader.offset;
    this.content(tag);
    return this.#bytes.subarray(start, this.#reader.offset);
  }

  /** The elements inside of the next one. */
  inside(tag: number): DerReader {
    return new DerReader(this.content(tag));
  }

  /** The bytes of the next element, a BIT STRING without unused bits. */
  bits(): Uint8Array {
    const content = this.content(TAG.bitString);
    if (content[0] !== 0) throw new MalformedBytes("a bit string that is not whole bytes");
    return content.subarray(1);
  }

  /** The content of the next element, an INTEGER that is not negative, without its sign byte. */
  unsigned(): Uint8Array {
    const content = this.content(TAG.integer);
    const [first, second] = content;
    if (first === undefined || first >= 0x80) throw new MalformedBytes("a negative or empty integer");
    if (first !== 0 || second === undefined) return content;
    if (second < 0x80) throw new MalformedBytes("an integer with a needless zero");
    return content.subarray(1);
  }

  end(): void {
    this.#reader.end();
  }

  #length(): number {
    const first = this.#reader.u8();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0 || count > LENGTH_BYTES_MAX) throw new MalformedBytes("an indefinite or vast length");
    const length = count === 1 ? this.#reader.u8() : this.#reader.u16();
    if (length < (count === 1 ? 0x80 : 0x100)) throw new MalformedBytes("a length in more bytes than needed");
    return length;
  }
}
