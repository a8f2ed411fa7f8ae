/** Byte helpers. Everything big-endian (network order) unless a name says otherwise. */

const textEncoder = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function utf8(text: string): Uint8Array {
  return textEncoder.encode(text);
}

/** @throws TypeError when the bytes are not UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  return strictUtf8.decode(bytes);
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

/** @throws RangeError unless `text` is an even number of lower- or upper-case hex digits. */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) throw new RangeError("fromHex: not hex");
  return new Uint8Array(Buffer.from(text, "hex"));
}

/** A copy of its own. `slice` is none where the bytes are a `Buffer`: there it shares them. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/**
 * A copy that the garbage collector does not move about, as it does with arrays of 64 bytes and less: whoever wipes it wipes
 * all there is of it. For secrets.
 */
export function unmovedCopyOf(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new ArrayBuffer(bytes.length));
  copy.set(bytes);
  return copy;
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let sizeBytes = 0;
  for (const part of parts) sizeBytes += part.length;
  const joined = new Uint8Array(sizeBytes);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** Not in constant time: for public values. Secrets compare with node:crypto's `timingSafeEqual`. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** Collects fields; `finish` joins them: one allocation, and no copy of a secret that nobody wipes on the way. */
export class ByteWriter {
  readonly #fields: (Uint8Array | number)[] = [];
  /** In bytes, of each field. */
  readonly #widths: number[] = [];
  #sizeBytes = 0;

  u8(value: number): this {
    return this.#int(value, 1);
  }

  u16(value: number): this {
    return this.#int(value, 2);
  }

  u32(value: number): this {
    return this.#int(value, 4);
  }

  /** `value` is a whole number up to 2^53 − 1. */
  u64(value: number): this {
    return this.#int(value, 8);
  }

  /** Borrows until `finish`. */
  raw(bytes: Uint8Array): this {
    return this.#add(bytes, bytes.length);
  }

  /** A four-byte length, then the bytes: the unambiguous form for transcripts and associated data. */
  prefixed(bytes: Uint8Array): this {
    return this.u32(bytes.length).raw(bytes);
  }

  finish(): Uint8Array {
    const joined = new Uint8Array(this.#sizeBytes);
    let end = 0;
    for (const [index, field] of this.#fields.entries()) {
      const start = end;
      end += this.#widths[index] ?? 0;
      if (typeof field === "number") writeInt(joined, field, { start, end });
      else joined.set(field, start);
    }
    return joined;
  }

  #int(value: number, width: 1 | 2 | 4 | 8): this {
    if (!Number.isSafeInteger(value) || value < 0 || value >= 2 ** (8 * width)) {
      throw new RangeError(`ByteWriter: ${value} does not fit ${width} bytes`);
    }
    return this.#add(value, width);
  }

  #add(field: Uint8Array | number, width: number): this {
    this.#fields.push(field);
    this.#widths.push(width);
    this.#sizeBytes += width;
    return this;
  }
}

function writeInt(
  into: Uint8Array,
  value: number,
  { start, end }: { readonly start: number; readonly end: number },
): void {
  let rest = value;
  for (let index = end - 1; index >= start; index -= 1) {
    into[index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}

/** Input ended early, went on too long, or is not canonical. Callers turn it into their own typed error. */
export class MalformedBytes extends Error {
  override readonly name = "MalformedBytes";
}

/** Reads fields in order; every read checks what is left first. Slices are views of the input. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  /** Borrows `bytes`. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(): number {
    return this.#int(1);
  }

  u16(): number {
    return this.#int(2);
  }

  u32(): number {
    return this.#int(4);
  }

  /** @throws MalformedBytes above 2^53 − 1. */
  u64(): number {
    const value = this.#int(8);
    if (!Number.isSafeInteger(value)) throw new MalformedBytes("number above 2^53 - 1");
    return value;
  }

  raw(length: number): Uint8Array {
    if (length > this.remaining) throw new MalformedBytes(`need ${length} bytes, ${this.remaining} left`);
    const view = this.#bytes.subarray(this.#offset, this.#offset + length);
    this.#offset += length;
    return view;
  }

  /** Twin of `ByteWriter.prefixed`; `lengthMax` is checked before anything is taken. */
  prefixed(lengthMax: number): Uint8Array {
    const length = this.u32();
    if (length > lengthMax) throw new MalformedBytes(`length ${length} is above ${lengthMax}`);
    return this.raw(length);
  }

  /** @throws MalformedBytes when anything is left. */
  end(): void {
    if (this.remaining !== 0) throw new MalformedBytes(`${this.remaining} bytes too many`);
  }

  #int(width: number): number {
    let value = 0;
    for (const byte of this.raw(width)) value = value * 256 + byte;
    return value;
  }
}
