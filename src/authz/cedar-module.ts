/** The one place that loads Cedar's WebAssembly build. */
import { createRequire } from "node:module";
import type * as Cedar from "@cedar-policy/cedar-wasm/nodejs";

export type CedarModule = typeof Cedar;

/**
 * A new WebAssembly instance (about 8 ms). The module keeps parsed sets in thread-local maps for ever, and an
 * instance that has trapped once answers every later call with a trap: one instance for each set ends both.
 */
export function freshCedar(): CedarModule {
  // A `require` of its own: an older one would keep each instance it ever loaded alive as its child.
  const require = createRequire(import.meta.url);
  const path = require.resolve("@cedar-policy/cedar-wasm/nodejs");
  const shared = require.cache[path];
  Reflect.deleteProperty(require.cache, path);
  const cedar = require(path) as CedarModule;
  if (shared === undefined) Reflect.deleteProperty(require.cache, path);
  else require.cache[path] = shared;
  return cedar;
}

/** Whether `error` is what an instance throws when text nested too deep overflows its stack, or ours. */
export function isStackOverflow(error: unknown): boolean {
  return error instanceof RangeError || (error instanceof Error && error.name === "RuntimeError");
}
