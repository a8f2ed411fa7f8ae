import { setFlagsFromString } from "node:v8";

/** What serves, and what works on a home that nobody serves: loaded by the commands that need it, and by no other. */
export function loadDaemon() {
  // The young generation must not shrink between bursts: measured, p99 falls from 12 to 2.4 ms.
  setFlagsFromString("--semi-space-growth-factor=1");
  // V8 12 and older may end the process with a fatal error where optimized code that calls WebAssembly is thrown away in
  // the middle of such a call: a few hundred decisions a second that are each asked for the first time are enough.
  setFlagsFromString("--no-turbo-inline-js-wasm-calls");
  // By default half of Cedar is optimized at start, for calls that never come: measured, a second of processor time.
  setFlagsFromString("--wasm-tiering-budget=300000000");
  return import("../daemon/index.ts");
}
