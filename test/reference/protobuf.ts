/** The canonical protobuf of docs/pairing.md: one spelling of each message, written and read by hand. */
import { concat, leb128, utf8 } from "./bytes.ts";
import { badMessage } from "./refused.ts";

export type Value = number | boolean | string | Uint8Array | readonly Uint8Array[];
export type Values = Readonly<Record<string, Value>>;
type Kind = "uint32" | "bool" | "string" | "bytes" | "list";

/** Fields in order of their numbers, which count from 1 without gaps in every message of this protocol. */
export type Schema = readonly (readonly [name: string, kind: Kind])[];

/** Members of a `oneof` in order of their numbers, which count from 1 too. */
export type Members = readonly (readonly [name: string, schema: Schema])[];

export function encodeMember(members: Members, name: string, values: Values): Uint8Array {
  const index = members.findIndex(([member]) => member === name);
  const schema = members[index]?.[1];
  if (schema === undefined) throw new RangeError(`no member ${name}`);
  return delimited(index + 1, encode(schema, values));
}

export function decodeMember(members: Members, bytes: Uint8Array): { name: string; fields: Fields } {
  const reader = new Reader(bytes);
  const { number, wireType } = reader.tag();
  const member = members[number - 1];
  if (member === undefined || wireType !== 2) throw badMessage("no such kind of message");
  const content = reader.bytes();
  if (!reader.isAtEnd) throw badMessage("something behind the message");
  return { name: member[0], fields: new Fields(decode(member[1], content)) };
}

function encode(schema: Schema, values: Values): Uint8Array {
  const parts = schema.map(([name, kind], index) => {
    const value = values[name];
    if (value === undefined || isDefault(value)) return new Uint8Array(0);
    if (kind === "list")
      return concat(...(value as readonly Uint8Array[]).map((one) => delimited(index + 1, one)));
    if (typeof value === "string") return delimited(index + 1, utf8(value));
    if (value instanceof Uint8Array) return delimited(index + 1, value);
    return concat(leb128((index + 1) * 8), leb128(Number(value)));
  });
  return concat(...parts);
}

function isDefault(value: Value): boolean {
  return typeof value === "object" ? value.length === 0 : !value;
}

const delimited = (number: number, content: Uint8Array): Uint8Array =>
  concat(leb128(number * 8 + 2), leb128(content.length), content);

function decode(schema: Schema, bytes: Uint8Array): Values {
  const reader = new Reader(bytes);
  const values: Record<string, Value> = {};
  for (let last = 0; !reader.isAtEnd; ) {
    const { number, wireType } = reader.tag();
    const [name = "", kind] = schema[number - 1] ?? [];
    if (kind === undefined) throw badMessage("an unknown field");
    if (number < last || (number === last && kind !== "list")) throw badMessage("fields out of order");
    if (wireType !== (kind === "uint32" || kind === "bool" ? 0 : 2)) throw badMessage("another type");
    last = number;
    const value = reader.value(kind);
    if (kind !== "list" && isDefault(value)) throw badMessage("a default value spelled out");
    values[name] =
      kind === "list"
        ? [...((values[name] as readonly Uint8Array[] | undefined) ?? []), value as Uint8Array]
        : value;
  }
  return values;
}

class Reader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  tag(): { number: number; wireType: number } {
    const tag = this.varint();
    return { number: Math.floor(tag / 8), wireType: tag % 8 };
  }

  value(kind: Kind): Value {
    if (kind === "uint32") return this.varint();
    if (kind === "bool") return this.#bool();
    if (kind === "string") return this.#text();
    return this.bytes();
  }

  bytes(): Uint8Array {
    const end = this.varint() + this.#offset;
    if (end > this.#bytes.length) throw badMessage("cut off");
    const bytes = this.#bytes.slice(this.#offset, end);
    this.#offset = end;
    return bytes;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#bytes[this.#offset];
      if (byte === undefined) throw badMessage("cut off");
      this.#offset += 1;
      value += (byte % 128) * scale;
      if (value >= 2 ** 32) throw badMessage("a number too large");
      if (byte >= 128) continue;
      if (byte === 0 && scale > 1) throw badMessage("a padded number");
      return value;
    }
  }

  #bool(): boolean {
    const value = this.varint();
    if (value > 1) throw badMessage("not a truth value");
    return value === 1;
  }

  #text(): string {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.bytes());
    } catch {
      throw badMessage("not UTF-8");
    }
  }
}

/** A message's fields, each looked at by the rule that docs/pairing.md states for it. */
export class Fields {
  readonly #values: Values;

  constructor(values: Values) {
    this.#values = values;
  }

  number(name: string): number {
    return Number(this.#values[name] ?? 0);
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  exactly(name: string, size: number): Uint8Array {
    const bytes = this.#bytes(name);
    if (bytes.length !== size) throw badMessage(`${name} of ${bytes.length} bytes`);
    return bytes;
  }

  upTo(name: string, size: number): Uint8Array {
    const bytes = this.#bytes(name);
    if (bytes.length === 0 || bytes.length > size) throw badMessage(`${name} of ${bytes.length} bytes`);
    return bytes;
  }

  list(name: string, count: number, size: number): readonly Uint8Array[] {
    const list = (this.#values[name] ?? []) as readonly Uint8Array[];
    if (
      list.length === 0 ||
      list.length > count ||
      list.some(({ length }) => length === 0 || length > size)
    ) {
      throw badMessage(`${name}: too few, too many, or too large`);
    }
    return list;
  }

  text(name: string, size: number): string {
    const text = String(this.#values[name] ?? "");
    if (utf8(text).length > size || /[\p{C}\u2028\u2029]/u.test(text))
      throw badMessage(`${name}: not such text`);
    return text;
  }

  name(name: string): string {
    const text = this.text(name, 64);
    if (text === "" || /^\s|\s$/.test(text)) throw badMessage(`${name}: not a name`);
    return text;
  }

  #bytes(name: string): Uint8Array {
    const value = this.#values[name];
    return value instanceof Uint8Array ? value : new Uint8Array(0);
  }
}
