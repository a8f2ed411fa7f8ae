/** Reading JSON that somebody else wrote: each function answers the value in its type, or throws where it stands. */

/** JSON that is not of the shape it should have. Never leaves this folder. */
export class Misshapen extends Error {
  override readonly name = "Misshapen";

  /** `place` is such as `decisions[3].who`; empty for the whole. */
  constructor(place: string, expected: string) {
    super(place === "" ? expected : `${place}: ${expected}`);
  }
}

export type Fields = Readonly<Record<string, unknown>>;

export interface FieldNames {
  readonly required?: readonly string[];
  readonly optional?: readonly string[];
}

/** An object with these keys and no others. */
export function fieldsOf(json: unknown, place: string, { required = [], optional = [] }: FieldNames): Fields {
  const fields = objectOf(json, place);
  const missing = required.find((name) => !Object.hasOwn(fields, name));
  if (missing !== undefined) throw new Misshapen(place, `has no ${missing}`);
  const stray = Object.keys(fields).find((name) => !required.includes(name) && !optional.includes(name));
  if (stray !== undefined) throw new Misshapen(place, `has an unknown key ${JSON.stringify(stray)}`);
  return fields;
}

/** An object with any keys. */
export function objectOf(json: unknown, place: string): Fields {
  if (isFields(json)) return json;
  throw new Misshapen(place, "is not an object");
}

export function listOf<Item>(
  json: unknown,
  place: string,
  item: (json: unknown, place: string) => Item,
): readonly Item[] {
  if (!Array.isArray(json)) throw new Misshapen(place, "is not a list");
  return json.map((one: unknown, index) => item(one, `${place}[${index}]`));
}

/** Each value of an object with any keys. */
export function mapOf<Value>(
  json: unknown,
  place: string,
  value: (json: unknown, place: string) => Value,
): Readonly<Record<string, Value>> {
  const entries = Object.entries(objectOf(json, place));
  return Object.fromEntries(entries.map(([name, one]) => [name, value(one, within(place, name))]));
}

export function textOf(json: unknown, place: string): string {
  if (typeof json === "string") return json;
  throw new Misshapen(place, "is not a text");
}

export function booleanOf(json: unknown, place: string): boolean {
  if (typeof json === "boolean") return json;
  throw new Misshapen(place, "is neither true nor false");
}

/** A whole number from 0 to 2^53 − 1. */
export function countOf(json: unknown, place: string): number {
  if (typeof json === "number" && Number.isSafeInteger(json) && json >= 0) return json;
  throw new Misshapen(place, "is not a whole number from 0");
}

export function choiceOf<Choice extends string>(
  json: unknown,
  place: string,
  choices: readonly Choice[],
): Choice {
  const choice = choices.find((one) => one === json);
  if (choice !== undefined) return choice;
  const few =
    choices.length <= 10 ? `is not one of ${choices.join(", ")}` : `is none: ${JSON.stringify(json)}`;
  throw new Misshapen(place, few);
}

/** What `read` makes of a value that may be missing. */
export function optional<Value>(
  json: unknown,
  place: string,
  read: (json: unknown, place: string) => Value,
): Value | undefined {
  return json === undefined ? undefined : read(json, place);
}

/** The place of a field. */
export function within(place: string, name: string): string {
  const shown = /^\w+$/.test(name) ? name : JSON.stringify(name);
  return place === "" ? shown : `${place}.${shown}`;
}

function isFields(json: unknown): json is Fields {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
