/**
 * `.env` files, read strictly: what programs that read them disagree about is an error, not a guess, since the value that
 * is stored would silently be another one. `util.parseEnv` of Node swallows what it does not understand, takes the last
 * of two values of a name and knows no lines.
 *
 * | form           | value                                                                                    |
 * | -------------- | ---------------------------------------------------------------------------------------- |
 * | `KEY=text`     | to the end of the line without blanks around it; a blank and `#` begin a comment         |
 * | `KEY='text'`   | as it stands, over several lines too                                                     |
 * | `KEY="text"`   | the same, with `\n \r \t \" \\ \$` replaced; any other backslash stays                   |
 *
 * `export` before a name is dropped; nothing is interpolated.
 */
import { GatehouseError } from "../core/index.ts";
import type { ImportedValue, ImportWarning } from "./import-entries.ts";

export interface DotenvContent {
  readonly values: readonly ImportedValue[];
  readonly warnings: readonly ImportWarning[];
}

/** @throws GatehouseError `usage.bad-argument` naming the line, never what stands in it. */
export function parseDotenv(text: string): DotenvContent {
  const source = text.replaceAll("\r\n", "\n");
  const values: ImportedValue[] = [];
  const warnings: ImportWarning[] = [];
  for (let at = 0, line = 1; at < source.length; ) {
    const { end, found } = statementAt(source, at, line);
    if (found !== undefined) {
      values.push({ keys: [found.key], value: found.value, line });
      if (found.hasReference) warnings.push(referenceWarning(found.key, line));
    }
    line += linesIn(source.slice(at, end));
    at = end;
  }
  return { values, warnings };
}

interface Found {
  readonly key: string;
  readonly value: string;
  /** It looks as if `$NAME` in it were meant to be replaced. */
  readonly hasReference: boolean;
}

interface Statement {
  /** Past its line end. */
  readonly end: number;
  /** Undefined for an empty line and a comment. */
  readonly found: Found | undefined;
}

const NOTHING = /[^\S\n]*(?:#[^\n]*)?(?:\n|$)/y;
const BEGINNING = /[^\S\n]*(?:export[^\S\n]+)?([A-Za-z_][A-Za-z0-9_.-]*)[^\S\n]*=[^\S\n]*/y;
const UNQUOTED = /[^\n]*/y;
const REFERENCE = /(?<!\\)\$(?:[A-Za-z_]|\{|\()/;

function statementAt(source: string, at: number, line: number): Statement {
  const nothing = matchAt(NOTHING, source, at);
  if (nothing !== undefined) return { end: nothing.end, found: undefined };
  const beginning = matchAt(BEGINNING, source, at);
  if (beginning === undefined) throw refusal(line, "is not NAME=VALUE");
  const { text: key, end: start } = beginning;
  const quote = source[start];
  if (quote === '"' || quote === "'") return quotedAt(source, start, { key, line });
  const { whole = "", end } = matchAt(UNQUOTED, source, start) ?? { end: start };
  const value = unquoted(whole, { line, isAfterBlank: /\s/.test(source[start - 1] ?? "") });
  return { end: end + 1, found: { key, value, hasReference: REFERENCE.test(value) } };
}

function quotedAt(
  source: string,
  start: number,
  { key, line }: { readonly key: string; readonly line: number },
): Statement {
  const isDouble = source[start] === '"';
  const close = isDouble ? closeOfDouble(source, start + 1) : source.indexOf("'", start + 1);
  if (close === -1) throw refusal(line, "begins a quoted value that never ends");
  const rest = matchAt(NOTHING, source, close + 1);
  if (rest === undefined) throw refusal(line, "has something behind the closing quote");
  const text = source.slice(start + 1, close);
  const value = isDouble ? unescaped(text) : text;
  return { end: rest.end, found: { key, value, hasReference: isDouble && REFERENCE.test(text) } };
}

/** Of the quote that no backslash stands before; -1 when there is none. A pattern would need a stack as deep as the text. */
function closeOfDouble(source: string, start: number): number {
  for (let at = start; at < source.length; at += 1) {
    if (source[at] === '"') return at;
    if (source[at] === "\\") at += 1;
  }
  return -1;
}

/** Some readers cut at any `#`, some only behind a blank: a secret must not depend on it. */
function unquoted(
  text: string,
  { line, isAfterBlank }: { readonly line: number; readonly isAfterBlank: boolean },
) {
  if (isAfterBlank && text.startsWith("#")) return "";
  const value = text.slice(0, commentStart(text)).trim();
  if (!value.includes("#")) return value;
  throw refusal(
    line,
    "has a # in a value without quotes",
    "put the value in quotes, or a blank before a comment",
  );
}

/** Where a blank and a `#` begin a comment; the end when there is none. */
function commentStart(text: string): number {
  for (let at = text.indexOf("#"); at !== -1; at = text.indexOf("#", at + 1)) {
    if (/\s/.test(text[at - 1] ?? "")) return at;
  }
  return text.length;
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", '"': '"', "\\": "\\", $: "$" };

function unescaped(text: string): string {
  return text.replace(/\\([nrt"\\$])/g, (whole, letter: string) => ESCAPES[letter] ?? whole);
}

interface Match {
  readonly whole: string;
  /** The first group. */
  readonly text: string;
  readonly end: number;
}

function matchAt(pattern: RegExp, source: string, at: number): Match | undefined {
  pattern.lastIndex = at;
  const match = pattern.exec(source);
  return match === null ? undefined : { whole: match[0], text: match[1] ?? "", end: at + match[0].length };
}

function linesIn(text: string): number {
  return text.split("\n").length - 1;
}

function referenceWarning(key: string, line: number): ImportWarning {
  return { line, message: `the $ in ${key} is taken as it stands: nothing is put in its place` };
}

function refusal(line: number, fault: string, hint = "a line is NAME=VALUE, a comment, or empty") {
  return new GatehouseError("usage.bad-argument", `line ${line} ${fault}`, { hint });
}
