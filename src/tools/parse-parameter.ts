import { LIMITS } from "../core/index.ts";
import { checkValue } from "./argument-value.ts";
import type { ConfigTable } from "./config-table.ts";
import type { ToolParameter } from "./definition.ts";
import { patternFault } from "./whole-match.ts";

const COMMON_KEYS = ["type", "description", "default", "allow_dash"] as const;
const TYPE_KEYS = {
  string: ["pattern", "max_length", "multiline"],
  integer: ["min", "max"],
  boolean: [],
  choice: ["choices"],
} as const satisfies Record<ToolParameter["type"], readonly string[]>;
const TYPES = Object.keys(TYPE_KEYS).join(", ");

/**
 * `[tools.NAME.parameters]`, sorted by name.
 *
 * @throws GatehouseError `config.invalid`.
 */
export function parseParameters(tool: ConfigTable): readonly ToolParameter[] {
  const tables = tool.table("parameters", undefined);
  if (tables.keys.length > LIMITS.toolParameters) {
    throw tool.fault("parameters", "too many", `at most ${LIMITS.toolParameters}`);
  }
  const names = tables.keys.toSorted();
  return Object.freeze(names.map((name) => parseParameter(tables, name)));
}

function parseParameter(tables: ConfigTable, name: string): ToolParameter {
  if (!/^[a-z][a-z0-9_]{0,63}$/.test(name)) {
    throw tables.fault(name, "not a parameter's name", "a name is a-z, 0-9 and _, and begins with a letter");
  }
  const type = typeOf(tables, name);
  const table = tables.table(name, [...COMMON_KEYS, ...TYPE_KEYS[type]]);
  const base = {
    name,
    description: table.text("description", { lengthMax: LIMITS.toolDescriptionLength }) ?? "",
    default: undefined,
    allowsDash: table.boolean("allow_dash"),
  };
  const parameter = { ...base, ...parseType(table, type) };
  return Object.freeze({ ...parameter, default: parseDefault(table, parameter) });
}

function typeOf(tables: ConfigTable, name: string): ToolParameter["type"] {
  const all = tables.table(name, [...COMMON_KEYS, ...Object.values(TYPE_KEYS).flat()]);
  const type = all.text("type", { lengthMax: 16 });
  if (type === "string" || type === "integer" || type === "boolean" || type === "choice") return type;
  throw all.fault("type", type === undefined ? "missing" : "unknown type", `one of ${TYPES}`);
}

type OfType<Parameter> = Parameter extends ToolParameter
  ? Omit<Parameter, "name" | "description" | "default" | "allowsDash">
  : never;

function parseType(table: ConfigTable, type: ToolParameter["type"]): OfType<ToolParameter> {
  switch (type) {
    case "string":
      return {
        ...{ type, pattern: parsePattern(table), isMultiline: table.boolean("multiline") },
        lengthMax:
          table.integer("max_length", { min: 1, max: LIMITS.toolArgumentLengthMax }) ??
          LIMITS.toolArgumentLength,
      };
    case "integer":
      return { type, ...parseRange(table) };
    case "boolean":
      return { type };
    case "choice":
      return { type, choices: parseChoices(table) };
  }
}

function parsePattern(table: ConfigTable): string | undefined {
  const pattern = table.text("pattern", { lengthMax: LIMITS.toolPatternLength });
  if (pattern === undefined) return undefined;
  switch (patternFault(pattern)) {
    case undefined:
      return pattern;
    case "syntax":
      throw table.fault(
        "pattern",
        "not a regular expression",
        "it is RE2's language: nothing that looks around or back",
      );
    case "size":
      throw table.fault("pattern", "too complicated", "repeat less, such as {0,20} within {0,20}");
  }
}

function parseRange(table: ConfigTable): { readonly min: number; readonly max: number } {
  const all = { min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER };
  const min = table.integer("min", all) ?? all.min;
  const max = table.integer("max", all) ?? all.max;
  if (min <= max) return { min, max };
  throw table.fault("min", "it is above max", "min is the smallest value that is allowed");
}

function parseChoices(table: ConfigTable): readonly string[] {
  const bounds = { countMax: LIMITS.toolChoices, lengthMax: LIMITS.toolArgumentLength };
  const choices = table.texts("choices", bounds);
  if (choices.length === 0) throw table.fault("choices", "there are none", 'such as ["blue", "green"]');
  if (new Set(choices).size === choices.length) return choices;
  throw table.fault("choices", "one stands there twice", "name each once");
}

/** In its type's own form or as a text. */
function parseDefault(table: ConfigTable, parameter: ToolParameter): string | undefined {
  const value = table.value("default");
  if (value === undefined) return undefined;
  const text = plainText(value);
  const checked = text === undefined ? undefined : checkValue(parameter, text);
  if (checked?.kind === "fits") return checked.value;
  const hint = `expected ${checked?.expected ?? "a plain value"}`;
  throw table.fault("default", "not a value of this parameter", hint);
}

function plainText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  const isPlain = typeof value === "boolean" || typeof value === "number" || typeof value === "bigint";
  return isPlain ? String(value) : undefined;
}
