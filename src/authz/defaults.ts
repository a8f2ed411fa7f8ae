import { readFile } from "node:fs/promises";
import type { PolicyText } from "./policy-set.ts";

/** Cedar schema that ships with the package; the same place seen from `src/` and from `dist/`. */
export async function loadDefaultSchema(): Promise<string> {
  return await readFile(new URL("../../schemas/cedar/gatehouse.cedarschema", import.meta.url), "utf8");
}

/** Policies that a new gatehouse starts with. */
export async function loadDefaultPolicies(): Promise<readonly PolicyText[]> {
  const text = await readFile(new URL("../../schemas/cedar/default.cedar", import.meta.url), "utf8");
  return [{ id: "default", text }];
}
