/** Which secrets a command is to find in which environment variables. */
import { GatehouseError, isLoaderVariable, LIMITS } from "../core/index.ts";

export interface SecretVariable {
  /** The environment variable. */
  readonly name: string;
  readonly path: string;
  /** 0: the newest. */
  readonly version: number;
}

export interface VariableSources {
  /** `ENV=PATH` or `ENV=PATH@VERSION` each. */
  readonly flags: readonly string[];
  /** Lines of the same; empty ones and those that begin with `#` say nothing. */
  readonly file: string;
  readonly allowLoaderVariables: boolean;
}

/**
 * At least one and at most `LIMITS.environmentSecrets`, each name once.
 *
 * @throws GatehouseError `usage.bad-argument`, naming the flag or the line; what was written is not repeated: it may have
 * been the secret itself.
 */
export function parseSecretVariables({
  flags,
  file,
  allowLoaderVariables,
}: VariableSources): readonly SecretVariable[] {
  const variables = [
    ...flags.map((text, index) =>
      parseVariable(text, flags.length === 1 ? "--secret" : `--secret number ${index + 1}`),
    ),
    ...linesOf(file).map(({ text, line }) => parseVariable(text, `line ${line} of the --env-file`)),
  ];
  refuseCount(variables.length);
  const names = new Set<string>();
  for (const { name } of variables) {
    if (names.has(name)) throw refusal(`${name} is asked for twice`, "every variable takes one secret");
    names.add(name);
    if (!allowLoaderVariables && isLoaderVariable(name)) throw loaderRefusal(name);
  }
  return variables;
}

function linesOf(file: string): readonly { readonly text: string; readonly line: number }[] {
  return file
    .split(/\r?\n/)
    .map((text, index) => ({ text: text.trim(), line: index + 1 }))
    .filter(({ text }) => text !== "" && !text.startsWith("#"));
}

/** Neither names nor paths have a `=` or an `@`. */
function parseVariable(text: string, where: string): SecretVariable {
  const [, name = "", path = "", version = "0"] = /^([^=]*)=([^=@]+)(?:@([1-9]\d{0,14}))?$/.exec(text) ?? [];
  if (path === "") throw refusal(`${where} is not ENV=PATH or ENV=PATH@VERSION`, EXAMPLE);
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return { name, path, version: Number(version) };
  throw refusal(
    `${where} does not begin with a variable's name`,
    "a name is letters, digits and underscores, and begins with no digit",
  );
}

const EXAMPLE = "for example --secret DATABASE_URL=shared/db/url";

function refuseCount(count: number): void {
  if (count === 0) throw refusal("no secret was asked for", EXAMPLE);
  if (count <= LIMITS.environmentSecrets) return;
  throw refusal(
    `more than ${LIMITS.environmentSecrets} secrets for one environment`,
    "keep what belongs together in one secret, as JSON for example",
  );
}

function loaderRefusal(name: string): GatehouseError<"usage.bad-argument"> {
  return refusal(
    `${name} decides which code runs, and whoever may write the secret would decide it`,
    "give --allow-loader-variables if that is meant",
  );
}

function refusal(message: string, hint: string): GatehouseError<"usage.bad-argument"> {
  return new GatehouseError("usage.bad-argument", message, { hint });
}
