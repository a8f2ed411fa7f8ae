import { isLoaderVariable, LIMITS } from "../core/index.ts";
import type { ConfigTable } from "./config-table.ts";

type Variables = Readonly<Record<string, string>>;

/** The variable by which what a call started is found again. */
export const CALL_VARIABLE = "GATEHOUSE_CALL";

const SECRET_PATH =
  /^(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]{1,128}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]{1,128})*$/;

/**
 * `environment` (variable to value) and `secrets` (variable to vault path).
 *
 * @throws GatehouseError `config.invalid`; a value is never repeated, a secret's path neither: it may be the secret.
 */
export function parseVariables(tool: ConfigTable): {
  readonly environment: Variables;
  readonly secrets: Variables;
} {
  const environment = parseTable(tool, "environment", LIMITS.toolEnvironment, variableValue);
  const secrets = parseTable(tool, "secrets", LIMITS.toolSecrets, secretPathOf);
  for (const name of Object.keys(secrets)) {
    if (Object.hasOwn(environment, name)) {
      throw tool.table("secrets", undefined).fault(name, "in environment too", "name it in one of the two");
    }
  }
  return { environment, secrets };
}

function parseTable(
  tool: ConfigTable,
  key: "environment" | "secrets",
  countMax: number,
  read: (table: ConfigTable, name: string) => string,
): Variables {
  const table = tool.table(key, undefined);
  if (table.keys.length > countMax) throw tool.fault(key, "too many variables", `at most ${countMax}`);
  return Object.freeze(
    Object.fromEntries(table.keys.map((name) => [variableName(table, name), read(table, name)])),
  );
}

function variableName(table: ConfigTable, name: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name)) {
    throw table.fault(
      name,
      "not a variable's name",
      "a name is letters, digits and _, and begins with no digit",
    );
  }
  if (name !== CALL_VARIABLE) return name;
  throw table.fault(name, "it is set for every call", "choose another name");
}

function variableValue(table: ConfigTable, name: string): string {
  return table.text(name, { lengthMax: LIMITS.toolEnvironmentValueLength, allowsLines: true }) ?? "";
}

function secretPathOf(table: ConfigTable, name: string): string {
  if (isLoaderVariable(name)) {
    const why = "it decides which code runs, and whoever may write the secret would decide it";
    throw table.fault(name, why, "give the secret to a variable that only the program itself reads");
  }
  const path = table.text(name, { lengthMax: LIMITS.secretPathBytes }) ?? "";
  if (SECRET_PATH.test(path)) return path;
  throw table.fault(
    name,
    "not a secret's path",
    "such as shared/db/password; the value itself stays in the vault",
  );
}
