import { parse, TomlError } from "smol-toml";
import { GatehouseError, isGatehouseError } from "../core/index.ts";
import { nearestName } from "./nearest.ts";

/** A configuration file as it was read. */
export interface ConfigFile {
  readonly path: string;
  readonly text: string;
}

export type Table = Readonly<Record<string, unknown>>;

/** @throws GatehouseError `config.invalid` naming the line. */
export function readToml({ path, text }: ConfigFile): Table {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    // Its message shows the lines around, which may hold what is nobody's business.
    const what = cause.message.split("\n")[0]?.replace(/^Invalid TOML document: /, "") ?? "not TOML";
    throw new GatehouseError("config.invalid", `${path}:${cause.line}:${cause.column}: ${what}`, {
      hint: "see https://toml.io/en/v1.0.0 for how values are written",
    });
  }
}

/** @throws GatehouseError `config.invalid` for a key that is none of `known`. */
export function refuseUnknownKeys(table: Table, known: readonly string[], place: string): void {
  for (const key of Object.keys(table)) {
    if (known.includes(key)) continue;
    const nearest = nearestName(key, known);
    throw new GatehouseError("config.invalid", `${place}: unknown key ${JSON.stringify(key)}`, {
      hint: nearest === undefined ? `known ones: ${known.join(", ")}` : `did you mean ${nearest}?`,
    });
  }
}

/** Runs `parse` on a value; what it finds wrong is said of `place`. */
export function atPlace<Value>(place: string, parse: () => Value): Value {
  try {
    return parse();
  } catch (error) {
    if (!isGatehouseError(error)) throw error;
    throw new GatehouseError("config.invalid", `${place}: ${error.message}`, {
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      cause: error,
    });
  }
}

/** @throws GatehouseError `config.invalid` */
export function tableAt(value: unknown, place: string): Table {
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)) {
    return value as Table;
  }
  throw new GatehouseError("config.invalid", `${place}: a table is expected`);
}

/** A string, or a list of strings joined by commas. @throws GatehouseError `config.invalid` */
export function textAt(value: unknown, place: string): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value.join(",");
  throw new GatehouseError("config.invalid", `${place}: a string is expected`, {
    hint: 'write it in quotes, such as "30s"',
  });
}
