/** Somebody on the road who changes one message of an exchange, in ways that a seed picks. */
import { concat } from "../../src/core/index.ts";
import type { SeededRandom } from "../support/seeded-random.ts";

/** What was sent in other exchanges, by message number. */
export type Recordings = readonly (readonly Uint8Array[])[];

/** Another byte string in place of message `index`; or nothing, which drops the link. */
type Meddle = (given: Given) => Uint8Array | undefined;

interface Given {
  readonly bytes: Uint8Array;
  readonly index: number;
  /** All messages so far of this exchange, this one last. */
  readonly soFar: readonly Uint8Array[];
  readonly recordings: Recordings;
  readonly random: SeededRandom;
}

interface Field {
  readonly start: number;
  readonly end: number;
}

const pick = <Item>(random: SeededRandom, items: readonly Item[]): Item | undefined =>
  items[Math.floor(random.next() * items.length)];

export const MEDDLING: Readonly<Record<string, Meddle>> = {
  "one bit flipped": ({ bytes, random }) => {
    const changed = new Uint8Array(bytes);
    const at = Math.floor(random.next() * bytes.length);
    changed[at] = (changed[at] ?? 0) ^ (1 << Math.floor(random.next() * 8));
    return changed;
  },
  "a few bytes random": ({ bytes, random }) => {
    const changed = new Uint8Array(bytes);
    const at = Math.floor(random.next() * bytes.length);
    changed.set(random.bytes(Math.min(8, bytes.length - at)), at);
    return changed;
  },
  "its fields in another order": ({ bytes }) => rewritten(bytes, (fields) => fields.toReversed()),
  "one field left out": ({ bytes, random }) =>
    rewritten(bytes, (fields) => fields.toSpliced(Math.floor(random.next() * fields.length), 1)),
  "one field twice": ({ bytes, random }) =>
    rewritten(bytes, (fields) => [...fields, pick(random, fields) ?? { start: 0, end: 0 }]),
  "one field of another exchange": ({ bytes, index, recordings, random }) => {
    const other = pick(random, recordings)?.[index] ?? bytes;
    const [own, foreign] = [fieldsOf(bytes), fieldsOf(other)];
    const number = Math.floor(random.next() * own.length);
    const parts = own.map((field, at) =>
      at === number && foreign[at] !== undefined ? cut(other, foreign[at]) : cut(bytes, field),
    );
    return framed(bytes, parts);
  },
  "the same message of another exchange": ({ bytes, index, recordings, random }) =>
    pick(random, recordings)?.[index] ?? bytes,
  "an earlier message of this exchange, of either side": ({ bytes, soFar, random }) =>
    pick(random, soFar.slice(0, -1)) ?? bytes,
  "a later message of another exchange": ({ bytes, index, recordings, random }) =>
    pick(random, pick(random, recordings)?.slice(index + 1) ?? []) ?? bytes,
  "itself twice": ({ bytes }) => concat(bytes, bytes),
  "itself after an earlier one": ({ bytes, soFar, random }) => concat(pick(random, soFar) ?? bytes, bytes),
  "its end cut off": ({ bytes, random }) => bytes.subarray(0, Math.floor(random.next() * bytes.length)),
  "bytes after it": ({ bytes, random }) => concat(bytes, random.bytes(1 + Math.floor(random.next() * 40))),
  "nothing at all": () => undefined,
};

/**
 * The fields of a framed pairing message, as they lie: length(1–3) ‖ tag(1) ‖ length ‖ fields. The fields of what is
 * sealed lie one level deeper and under its MAC: they are changed as bytes.
 */
function fieldsOf(bytes: Uint8Array): readonly Field[] {
  const fields: Field[] = [];
  for (let at = bodyOf(bytes); at < bytes.length; ) {
    const key = bytes[at] ?? 0;
    const [value, next] = varint(bytes, at + 1);
    const end = (key & 7) === 2 ? next + value : next;
    fields.push({ start: at, end });
    at = end;
  }
  return fields;
}

function bodyOf(bytes: Uint8Array): number {
  const [, tag] = varint(bytes, 0);
  return varint(bytes, tag + 1)[1];
}

function varint(bytes: Uint8Array, at: number): [value: number, next: number] {
  let value = 0;
  for (let index = at; index < bytes.length; index += 1) {
    const byte = bytes[index] ?? 0;
    value += (byte & 0x7f) * 128 ** (index - at);
    if (byte < 0x80) return [value, index + 1];
  }
  return [value, bytes.length];
}

function rewritten(bytes: Uint8Array, change: (fields: readonly Field[]) => readonly Field[]): Uint8Array {
  return framed(
    bytes,
    change(fieldsOf(bytes)).map((field) => cut(bytes, field)),
  );
}

/** The frame and kind of `bytes` around other fields. */
function framed(bytes: Uint8Array, fields: readonly Uint8Array[]): Uint8Array {
  const body = concat(...fields);
  const message = concat(bytes.subarray(varint(bytes, 0)[1], varint(bytes, 0)[1] + 1), length(body), body);
  return concat(length(message), message);
}

function length({ length: rest }: Uint8Array): Uint8Array {
  const bytes: number[] = [];
  for (let left = rest; bytes.length === 0 || left > 0; left >>>= 7)
    bytes.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
  return Uint8Array.from(bytes);
}

function cut(bytes: Uint8Array, { start, end }: Field): Uint8Array {
  return bytes.subarray(start, end);
}
