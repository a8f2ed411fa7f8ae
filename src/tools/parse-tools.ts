import { type GatehouseError, LIMITS } from "../core/index.ts";
import { type ConfigPlace, ConfigTable } from "./config-table.ts";
import type { CommandElement, ToolDefinition, ToolParameter } from "./definition.ts";
import { mayBegin, parseCommand } from "./parse-command.ts";
import { parseVariables } from "./parse-environment.ts";
import { parseParameters } from "./parse-parameter.ts";
import { parseAccount, parseLimits, parseSandbox } from "./parse-sandbox.ts";
import { isNormalPath } from "./paths.ts";
import { durationMs, sizeBytes } from "./quantities.ts";

const KEYS = [
  ...["description", "command", "directory", "timeout", "output_max", "concurrency", "approval", "groups"],
  ...["environment", "secrets", "parameters", "user", "group", "sandbox", "limits", "allow_same_user"],
];
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * The `[tools.NAME]` tables of a configuration file, as a TOML parser gave them; nothing when there are none. Sorted by
 * name. `place` stands in the hints.
 *
 * @throws GatehouseError `config.invalid` with the key's path, such as `tools.deploy.timeout`.
 */
export function parseTools(value: unknown, place: ConfigPlace): ReadonlyMap<string, ToolDefinition> {
  if (value === undefined) return new Map();
  const tables = new ConfigTable({ value, path: "tools", place, keys: undefined });
  if (tables.keys.length > LIMITS.tools) {
    throw tables.fault(undefined, "too many tools", `at most ${LIMITS.tools}`);
  }
  return new Map(tables.keys.toSorted().map((name) => [name, parseTool(tables, name)]));
}

function parseTool(tables: ConfigTable, name: string): ToolDefinition {
  if (!NAME.test(name)) throw tables.fault(name, "not a tool's name", NAMES_HINT);
  const table = tables.table(name, KEYS);
  const parameters = parseParameters(table);
  const command = parseCommand(table, parameters);
  refuseDashes(table, command, parameters);
  return Object.freeze({
    ...{ name, command, parameters, ...parseVariables(table) },
    description: table.text("description", { lengthMax: LIMITS.toolDescriptionLength }) ?? "",
    directory: parseDirectory(table),
    timeoutMs: durationMs(table, "timeout", LIMITS.toolTimeoutMsMax) ?? LIMITS.toolTimeoutMs,
    outputBytesMax: sizeBytes(table, "output_max", LIMITS.toolOutputBytesMax) ?? LIMITS.toolOutputBytes,
    concurrency:
      table.integer("concurrency", { min: 1, max: LIMITS.toolConcurrencyMax }) ?? LIMITS.toolConcurrency,
    needsApproval: table.boolean("approval"),
    groups: parseGroups(table),
    account: parseAccount(table),
    sandbox: parseSandbox(table),
    limits: parseLimits(table),
    mayRunAsDaemon: table.boolean("allow_same_user"),
  });
}

const NAMES_HINT = "a name is 1 to 64 letters, digits, dots, dashes and underscores, and begins with no dot";

function parseDirectory(table: ConfigTable): string {
  const directory = table.text("directory", { lengthMax: LIMITS.toolPathLength }) ?? "/";
  if (isNormalPath(directory)) return directory;
  throw table.fault("directory", "not a usable path", "write an absolute one, without . and ..");
}

function parseGroups(table: ConfigTable): readonly string[] {
  const bounds = { countMax: LIMITS.toolGroups, lengthMax: LIMITS.toolNameLength };
  const groups = table.texts("groups", bounds);
  if (groups.some((group) => !NAME.test(group))) throw table.fault("groups", "not a name", NAMES_HINT);
  return groups;
}

/** A default or choice that every call would be refused for is better told now. */
function refuseDashes(
  table: ConfigTable,
  command: readonly CommandElement[],
  parameters: readonly ToolParameter[],
): void {
  for (const parameter of parameters) {
    const values = [parameter.default ?? "", ...(parameter.type === "choice" ? parameter.choices : [])];
    const isDash = !parameter.allowsDash && values.some((value) => value.startsWith("-"));
    if (!isDash || !command.some((element) => mayBegin(element, parameter.name))) continue;
    throw dashRefusal(table, parameter.name);
  }
}

function dashRefusal(table: ConfigTable, name: string): GatehouseError<"config.invalid"> {
  return table
    .table("parameters", undefined)
    .fault(name, "a value of it would be read as an option", "set allow_dash = true if that is meant");
}
