import { LIMITS } from "../core/index.ts";
import type { IntegerParameter, StringParameter, ToolParameter } from "./definition.ts";
import { matchesWhole } from "./whole-match.ts";

export type CheckedValue =
  | { readonly kind: "fits"; readonly value: string }
  /** What was expected, to go on after "expected". */
  | { readonly kind: "unfit"; readonly expected: string };

/** Lone surrogates have no UTF-8, NUL ends a C string, and the rest steers terminals. */
const CONTROL = /\p{Cs}|\p{Cc}/u;
const CONTROL_BUT_LINES = /\p{Cs}|(?![\n\r\t])\p{Cc}/u;
const LINE_END = /[\u2028\u2029]/u;
/** Embeddings, overrides and isolates show an approver other words than the tool gets (CVE-2021-42574). */
const BIDI = /[\u202A-\u202E\u2066-\u2069]/u;

/** The canonical form of what was given for a parameter, or why there is none. What was given is never repeated. */
export function checkValue(parameter: ToolParameter, given: string): CheckedValue {
  // Before anything looks at all of it.
  if (given.length > 2 * LIMITS.toolArgumentLengthMax) return unfit("a shorter value");
  switch (parameter.type) {
    case "string":
      return checkString(parameter, given);
    case "integer":
      return checkInteger(parameter, given);
    case "boolean":
      return given === "true" || given === "false" ? fits(given) : unfit("true or false");
    case "choice":
      return parameter.choices.includes(given)
        ? fits(given)
        : unfit(`one of ${parameter.choices.join(", ")}`);
  }
}

function checkString({ pattern, lengthMax, isMultiline }: StringParameter, given: string): CheckedValue {
  if (!isPlain(given, isMultiline)) {
    return unfit(isMultiline ? "text without control characters" : "one line without control characters");
  }
  if (Array.from(given).length > lengthMax) return unfit(`at most ${lengthMax} characters`);
  if (pattern === undefined) return given === "" ? unfit("a value that is not empty") : fits(given);
  return matchesWhole(pattern, given) ? fits(given) : unfit(`a value that matches ${pattern}`);
}

function isPlain(text: string, isMultiline: boolean): boolean {
  if (BIDI.test(text)) return false;
  return isMultiline ? !CONTROL_BUT_LINES.test(text) : !CONTROL.test(text) && !LINE_END.test(text);
}

function checkInteger({ min, max }: IntegerParameter, given: string): CheckedValue {
  const number = /^[+-]?\d{1,32}$/.test(given) ? Number(given) : Number.NaN;
  if (!Number.isSafeInteger(number) || number < min || number > max) {
    return unfit(`a whole number from ${min} to ${max}`);
  }
  // −0 is "0" as a text.
  return fits(String(number));
}

function fits(value: string): CheckedValue {
  return { kind: "fits", value };
}

function unfit(expected: string): CheckedValue {
  return { kind: "unfit", expected };
}
