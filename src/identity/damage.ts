import { GatehouseError } from "../core/index.ts";

/** `name` is the file's own, without the path. */
export function damagedFile(name: string, hint: string, cause: unknown): GatehouseError<"identity.damaged"> {
  return new GatehouseError("identity.damaged", `the identity file ${name} is damaged`, { cause, hint });
}
