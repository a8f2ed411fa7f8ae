/** Loaded before a program (`--import`): no part of the QUIC library can be found, as where it has no binary. */
import { register } from "node:module";

const hooks = `
export async function resolve(specifier, context, next) {
  if (specifier.startsWith("@matrixai/quic")) {
    throw Object.assign(new Error("hidden: " + specifier), { code: "ERR_MODULE_NOT_FOUND" });
  }
  return await next(specifier, context);
}`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
