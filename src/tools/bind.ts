import { GatehouseError, LIMITS } from "../core/index.ts";
import { checkValue } from "./argument-value.ts";
import { hashCall } from "./call-hash.ts";
import type { CommandElement, ToolDefinition, ToolParameter } from "./definition.ts";
import { mayBegin } from "./parse-command.ts";

/** A tool with all its arguments: what is decided on, approved and run. Frozen. */
export interface BoundCall {
  readonly tool: ToolDefinition;
  /** Every parameter in canonical form, defaults filled in, sorted by name. */
  readonly arguments: Readonly<Record<string, string>>;
  /** Program and arguments; no shell reads them. */
  readonly argv: readonly string[];
  /** SHA-256 in hex: the same only for the same arguments of the same declaration. */
  readonly hash: string;
}

/**
 * Puts a caller's arguments into the tool's command.
 *
 * @throws GatehouseError `tool.bad-argument`, naming the parameter and what was expected; no value is repeated.
 */
export function bindCall(tool: ToolDefinition, given: Readonly<Record<string, string>>): BoundCall {
  refuseUnknown(tool, given);
  const values = new Map(tool.parameters.map((parameter) => [parameter.name, argumentOf(parameter, given)]));
  refuseBulk(values);
  for (const element of tool.command) refuseTricks(tool, element, values);
  const bound = Object.freeze(Object.fromEntries(values));
  return Object.freeze({
    ...{ tool, arguments: bound, hash: hashCall(tool, bound) },
    argv: Object.freeze(tool.command.map((element) => render(element, values))),
  });
}

type Values = ReadonlyMap<string, string>;

function refuseUnknown({ name, parameters }: ToolDefinition, given: Readonly<Record<string, string>>): void {
  const known = parameters.map((parameter) => parameter.name);
  const stranger = Object.keys(given).find((key) => !known.includes(key));
  if (stranger === undefined) return;
  const shown = JSON.stringify(stranger.slice(0, 64));
  const hint = known.length === 0 ? "it takes no arguments" : `it takes ${known.join(", ")}`;
  throw refusal(`tool ${name} has no parameter ${shown}`, hint);
}

function argumentOf(parameter: ToolParameter, given: Readonly<Record<string, string>>): string {
  const value = Object.hasOwn(given, parameter.name) ? given[parameter.name] : undefined;
  if (value === undefined) {
    if (parameter.default !== undefined) return parameter.default;
    throw refusal(`argument ${parameter.name} is missing`, "it has no default");
  }
  const checked = checkValue(parameter, value);
  if (checked.kind === "fits") return checked.value;
  throw refusal(`argument ${parameter.name} does not fit: expected ${checked.expected}`);
}

function refuseBulk(values: Values): void {
  let sizeBytes = 0;
  for (const value of values.values()) sizeBytes += Buffer.byteLength(value);
  if (sizeBytes <= LIMITS.toolArgumentsBytes) return;
  throw refusal(`the arguments are larger than ${LIMITS.toolArgumentsBytes} bytes together`);
}

/** Values that would turn an argument into an option, or lead a path out of where it was to go. */
function refuseTricks(tool: ToolDefinition, element: CommandElement, values: Values): void {
  const text = render(element, values);
  const parameters = tool.parameters.filter(({ name }) => names(element, name));
  for (const parameter of parameters) {
    const value = values.get(parameter.name) ?? "";
    if (parameter.allowsDash || !text.startsWith("-") || !value.startsWith("-")) continue;
    if (!mayBegin(element, parameter.name)) continue;
    throw refusal(
      `argument ${parameter.name} does not fit: expected a value that does not begin with -`,
      "the program would read it as an option; whoever keeps the tool may set allow_dash",
    );
  }
  const [first] = parameters;
  if (first === undefined || !climbs(element, text)) return;
  throw refusal(
    `argument ${first.name} does not fit: expected a value that does not climb with ..`,
    "it becomes a part of a path",
  );
}

function names({ parts }: CommandElement, name: string): boolean {
  return parts.some((part) => part.kind === "parameter" && part.name === name);
}

/** Whether values added a `..` where the template writes a path: to a path that is all theirs, a pattern must say no. */
function climbs({ parts }: CommandElement, text: string): boolean {
  if (!parts.some((part) => part.kind === "text" && part.text.includes("/"))) return false;
  const own = parts.map((part) => (part.kind === "text" ? part.text : "x")).join("");
  const climbing = (path: string): number => path.split("/").filter((segment) => segment === "..").length;
  return climbing(text) > climbing(own);
}

function render({ parts }: CommandElement, values: Values): string {
  return parts.map((part) => (part.kind === "text" ? part.text : (values.get(part.name) ?? ""))).join("");
}

function refusal(message: string, hint = "see `gatehouse tool show` for what it takes"): GatehouseError {
  return new GatehouseError("tool.bad-argument", message, { hint });
}
