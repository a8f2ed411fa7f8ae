/**
 * A JSON object's values with the lines they stand on. `JSON.parse` says whether it is JSON; it would take the last of
 * two values of a key, and round numbers that are too long: both would store another secret than the file has.
 */
import { GatehouseError, LIMITS } from "../core/index.ts";
import type { ImportedValue } from "./import-entries.ts";

/**
 * Text as it is, numbers and booleans as they are written; the keys of objects inside are folders.
 *
 * @throws GatehouseError `usage.bad-argument` naming the line, never a value.
 */
export function parseJsonValues(text: string): readonly ImportedValue[] {
  checkJson(text);
  try {
    return valuesIn(text);
  } catch (failure) {
    // The pattern's stack, a few million escapes deep: no such value could be stored.
    if (!(failure instanceof RangeError)) throw failure;
    throw new GatehouseError("vault.too-large", "the file has a value that is too large to be stored");
  }
}

function valuesIn(text: string): readonly ImportedValue[] {
  const values: ImportedValue[] = [];
  const keys: string[] = [];
  let isKeyNext = false;
  for (const { token, line } of tokens(text)) {
    if (token === "{") {
      if (keys.length >= LIMITS.secretPathBytes) throw refusal(line, "nests too deep");
      isKeyNext = true;
      keys.push("");
    } else if (token === "}") {
      keys.pop();
      isKeyNext = false;
    } else if (token === ",") isKeyNext = true;
    else if (isKeyNext) {
      keys[keys.length - 1] = asText(token);
      isKeyNext = false;
    } else if (token !== ":") {
      values.push({ keys: [...keys], value: storedText(token, keys, line), line });
    }
  }
  return values;
}

/** Its own message would quote the file. */
function checkJson(text: string): void {
  let isObject: boolean;
  try {
    const value: unknown = JSON.parse(text);
    isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  } catch (error) {
    const position = /at position (\d+)/.exec(error instanceof Error ? error.message : "")?.[1];
    const where = position === undefined ? "" : `, from line ${lineAt(text, Number(position))} on`;
    throw new GatehouseError("usage.bad-argument", `the file is not JSON${where}`);
  }
  if (isObject) return;
  throw new GatehouseError("usage.bad-argument", "the file is JSON, but not an object", {
    hint: 'for example {"db": {"user": "…", "password": "…"}}',
  });
}

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\]:,]|\n|[^\s"{}[\]:,]+/g;

/** Of what is known to be JSON. */
function* tokens(text: string): Iterable<{ readonly token: string; readonly line: number }> {
  let line = 1;
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === "\n") line += 1;
    else yield { token, line };
  }
}

function storedText(token: string, keys: readonly string[], line: number): string {
  if (token.startsWith('"')) {
    const value = asText(token);
    // UTF-8 has no such thing: another value would be stored.
    if (/\p{Cs}/u.test(value)) throw refusal(line, `has half a character for ${keys.join(".")}`);
    return value;
  }
  if (token !== "null" && token !== "[") return token;
  const what = token === "[" ? "an array" : "null";
  throw refusal(line, `has ${what} for ${keys.join(".")}: only text, numbers and booleans can be stored`);
}

function asText(token: string): string {
  return String(JSON.parse(token));
}

function lineAt(text: string, position: number): number {
  return text.slice(0, position).split("\n").length;
}

function refusal(line: number, fault: string): GatehouseError<"usage.bad-argument"> {
  return new GatehouseError("usage.bad-argument", `line ${line} ${fault}`);
}
