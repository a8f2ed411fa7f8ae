import { type Context, createContext, Script } from "node:vm";
import { LIMITS } from "../core/index.ts";

let context: Context | undefined;
let script: Script | undefined;

/**
 * Whether `pattern` (a source that compiles on its own with the `u` flag) matches all of `text`, found out within
 * `LIMITS.toolMatchMs`: the operator wrote the pattern, but a peer chooses the text, and `(a+)+` meets its match. The
 * virtual machine is only there because it can be interrupted; a third of a millisecond is its price.
 */
export function matchesWhole(pattern: string, text: string): "yes" | "no" | "too-slow" {
  context ??= createContext(Object.create(null));
  script ??= new Script('new RegExp(source, "u").test(text)');
  context["source"] = `^(?:${pattern})$`;
  context["text"] = text;
  try {
    return script.runInContext(context, { timeout: LIMITS.toolMatchMs }) === true ? "yes" : "no";
  } catch {
    // Interrupted, or out of the stack: nobody can say.
    return "too-slow";
  }
}
