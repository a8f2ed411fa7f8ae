import { RE2JS } from "re2js";
import { LIMITS } from "../core/index.ts";

/** Of the patterns of declared tools: there are no more of them than a configuration has. */
const compiled = new Map<string, RE2JS>();

/**
 * What keeps `pattern` from being used; undefined when it can be. It is RE2's language, in which matching takes time in
 * proportion to the text: the operator writes the pattern, but a peer chooses the text, and `(a+)+` meets its match.
 */
export function patternFault(pattern: string): "syntax" | "size" | undefined {
  try {
    const machine = RE2JS.compile(pattern);
    if (machine.programSize() > LIMITS.toolPatternSteps) return "size";
    compiled.set(pattern, machine);
    return undefined;
  } catch {
    return "syntax";
  }
}

/** Whether a pattern without fault matches all of `text`. */
export function matchesWhole(pattern: string, text: string): boolean {
  const machine = compiled.get(pattern) ?? RE2JS.compile(pattern);
  compiled.set(pattern, machine);
  return machine.testExact(text);
}
