import { GatehouseError } from "../core/index.ts";

export interface ConfigPlace {
  /** As the operator knows it; stands in hints. */
  readonly configFile: string;
}

interface TableInput {
  /** What the TOML parser gave. */
  readonly value: unknown;
  /** Of the table itself, such as `tools.deploy`. */
  readonly path: string;
  readonly place: ConfigPlace;
  /** All keys it may have; `undefined` where keys are names. */
  readonly keys: readonly string[] | undefined;
}

interface TextBounds {
  /** In UTF-16 units. */
  readonly lengthMax: number;
  readonly allowsLines?: boolean;
}

interface NumberBounds {
  readonly min: number;
  readonly max: number;
}

/**
 * One table of a configuration file. Reads by key, checks, and says `config.invalid` with the key's path; values are
 * never repeated, for one may be a secret in the wrong place.
 */
export class ConfigTable {
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #path: string;
  readonly #place: ConfigPlace;

  /** @throws GatehouseError `config.invalid` unless it is a table of those keys. */
  constructor({ value, path, place, keys }: TableInput) {
    this.#path = path;
    this.#place = place;
    if (!isTable(value)) throw this.fault(undefined, "not a table", `write [${path}] and its keys below`);
    this.#values = new Map(Object.entries(value));
    const stranger = [...this.#values.keys()].find((key) => keys !== undefined && !keys.includes(key));
    if (stranger !== undefined) {
      throw this.fault(stranger, "unknown key", `known keys: ${(keys ?? []).join(", ")}`);
    }
  }

  /** In the file's order. */
  get keys(): readonly string[] {
    return [...this.#values.keys()];
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  value(key: string): unknown {
    return this.#values.get(key);
  }

  fault(key: string | undefined, what: string, hint: string): GatehouseError<"config.invalid"> {
    const path = key === undefined ? this.#path : pathOf(this.#path, key);
    return new GatehouseError("config.invalid", `${path}: ${what}`, {
      hint: `${hint} (in ${this.#place.configFile})`,
    });
  }

  table(key: string, keys: readonly string[] | undefined): ConfigTable {
    const value = this.#values.get(key);
    return new ConfigTable({
      ...{ value: value === undefined ? {} : value, path: pathOf(this.#path, key) },
      ...{ place: this.#place, keys },
    });
  }

  text(key: string, bounds: TextBounds): string | undefined {
    const value = this.#values.get(key);
    return value === undefined ? undefined : this.#checkText(key, value, bounds);
  }

  /** At most `countMax`, each once. */
  texts(key: string, bounds: TextBounds & { readonly countMax: number }): readonly string[] {
    const value = this.#values.get(key);
    if (value === undefined) return Object.freeze([]);
    const shape = `an array of at most ${bounds.countMax} texts`;
    if (!Array.isArray(value)) throw this.fault(key, "not an array", `write ${shape}`);
    if (value.length > bounds.countMax) throw this.fault(key, "too many", `write ${shape}`);
    return Object.freeze(value.map((item: unknown) => this.#checkText(key, item, bounds)));
  }

  boolean(key: string, otherwise = false): boolean {
    const value = this.#values.get(key);
    if (value === undefined) return otherwise;
    if (typeof value === "boolean") return value;
    throw this.fault(key, "neither true nor false", "write true or false, without quotes");
  }

  integer(key: string, { min, max }: NumberBounds): number | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    const number = typeof value === "bigint" ? Number(value) : value;
    if (typeof number === "number" && Number.isSafeInteger(number) && number >= min && number <= max) {
      return number;
    }
    throw this.fault(key, "not a whole number in range", `write a number from ${min} to ${max}`);
  }

  #checkText(key: string, value: unknown, { lengthMax, allowsLines = false }: TextBounds): string {
    if (typeof value !== "string") throw this.fault(key, "not a text", "write it in quotes");
    if (value.length > lengthMax) throw this.fault(key, "too long", `at most ${lengthMax} characters`);
    const isClean = allowsLines ? !/\0|\p{Cs}/u.test(value) : !/\p{Cc}|\p{Cs}/u.test(value);
    if (isClean) return value;
    throw this.fault(key, "it has control characters", "write printable characters");
  }
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** Keys that TOML has in quotes stand in quotes here; a long one is cut. */
function pathOf(table: string, key: string): string {
  const isBare = /^[A-Za-z0-9_-]{1,64}$/.test(key);
  return `${table}.${isBare ? key : JSON.stringify(key.slice(0, 64))}`;
}
