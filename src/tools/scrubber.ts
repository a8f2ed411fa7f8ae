import { Buffer } from "node:buffer";
import { utf8 } from "../core/index.ts";
import { NeedleTrie } from "./needle-trie.ts";
import { needlesOf } from "./needles.ts";

/** Half open, in bytes of the input since the start. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/**
 * Takes secrets out of a stream: every occurrence of a secret, or of one of the forms that `needlesOf` lists, becomes
 * `[secret]`; occurrences that overlap become one. Holds back only what may still become an occurrence, at most one
 * secret's longest form.
 *
 * It stops accidents and the usual encodings, not somebody who wants a secret out: any other transformation passes.
 */
export class Scrubber implements Disposable {
  readonly #trie: NeedleTrie;
  readonly #mask: Uint8Array;
  /** Bytes taken in so far. */
  #position = 0;
  #node = 0;
  /** Occurrences, in order and apart, that are not given out yet. */
  #spans: Span[] = [];
  /** Up to here everything belongs to an occurrence that is given out as its mask. */
  #maskedTo = 0;

  /**
   * Borrows `secrets` for the call; none at all is fine. Or scrubs another stream of the same ones.
   *
   * @throws GatehouseError `tool.secret-unfit` for a secret below 4 bytes or above 64 KiB, or above 128 KiB together.
   */
  constructor(secrets: readonly Uint8Array[] | Scrubber) {
    if (secrets instanceof Scrubber) {
      this.#trie = secrets.#trie;
      this.#mask = secrets.#mask;
    } else {
      const needles = needlesOf(secrets);
      this.#mask = maskFor(needles);
      this.#trie = new NeedleTrie(needles);
    }
  }

  /** Borrows `chunk`; the answer is the caller's, and may be empty. */
  push(chunk: Uint8Array): Uint8Array {
    const [held, before] = [this.#trie.pathOf(this.#node), this.#position];
    this.#node = this.#trie.scan(this.#node, chunk, (end, length) =>
      this.#cover({ start: before + end - length, end: before + end }),
    );
    this.#position += chunk.length;
    const safe = this.#position - this.#trie.pathOf(this.#node).length;
    return this.#give({ start: before - held.length, end: safe }, [held, chunk]);
  }

  /** What was held back: it became no occurrence. */
  end(): Uint8Array {
    const held = this.#trie.pathOf(this.#node);
    this.#node = 0;
    return this.#give({ start: this.#position - held.length, end: this.#position }, [held]);
  }

  /** Wipes the secrets, of all scrubbers that share them. */
  [Symbol.dispose](): void {
    this.#trie[Symbol.dispose]();
  }

  #cover(span: Span): void {
    let { start } = span;
    for (let last = this.#spans.at(-1); last !== undefined && last.end > start; last = this.#spans.at(-1)) {
      start = Math.min(start, last.start);
      this.#spans.pop();
    }
    this.#spans.push({ start, end: span.end });
  }

  /** Gives out what lies in `span`; `source` holds it from its start on. Later spans may overlap `#maskedTo` only. */
  #give(span: Span, source: readonly [Uint8Array, Uint8Array?]): Uint8Array {
    const given: Uint8Array[] = [];
    let done = Math.max(span.start, this.#maskedTo);
    const giveTo = (end: number): void => {
      if (end > done) given.push(...cut(source, { start: done - span.start, end: end - span.start }));
      done = Math.max(done, end);
    };
    const [due, later] = partition(this.#spans, span.end);
    for (const { start, end } of due) {
      giveTo(start);
      if (start >= this.#maskedTo) given.push(this.#mask);
      this.#maskedTo = Math.max(this.#maskedTo, end);
      done = Math.max(done, this.#maskedTo);
    }
    giveTo(span.end);
    this.#spans = later;
    return joined(given);
  }
}

/** Those that begin before `end`, and the others. */
function partition(spans: Span[], end: number): readonly [readonly Span[], Span[]] {
  if (spans.length === 0) return [spans, spans];
  const index = spans.findIndex(({ start }) => start >= end);
  return index === -1 ? [spans, []] : [spans.slice(0, index), spans.slice(index)];
}

/** A part of the two joined. */
function cut(
  [first, second]: readonly [Uint8Array, Uint8Array?],
  { start, end }: Span,
): readonly Uint8Array[] {
  const parts = [
    first.subarray(start, Math.min(end, first.length)),
    second?.subarray(Math.max(0, start - first.length), Math.max(0, end - first.length)),
  ];
  return parts.flatMap((part) => (part === undefined || part.length === 0 ? [] : [part]));
}

/** There may be more of them than a call takes arguments. */
function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

const MASKS = [
  "[secret]",
  "(secret)",
  "<secret>",
  "[hidden]",
  "<hidden>",
  "********",
  "########",
  "~~~~~~~~",
];

/** The first that no needle overlaps: beside one that does, text could make up a needle again. */
function maskFor(needles: readonly Uint8Array[]): Uint8Array {
  const masks = MASKS.map((mask) => Buffer.from(mask));
  const fitting = masks.find((mask) => needles.every((needle) => !overlaps(mask, bufferOf(needle))));
  return fitting === undefined ? utf8("[secret]") : new Uint8Array(fitting);
}

function overlaps(mask: Buffer, needle: Buffer): boolean {
  if (mask.includes(needle) || needle.includes(mask)) return true;
  for (let length = 1; length < Math.min(mask.length, needle.length); length += 1) {
    const [maskEnd, needleEnd] = [mask.length - length, needle.length - length];
    if (mask.subarray(maskEnd).equals(needle.subarray(0, length))) return true;
    if (needle.subarray(needleEnd).equals(mask.subarray(0, length))) return true;
  }
  return false;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
