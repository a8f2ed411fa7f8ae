/** What a command that `gatehouse run` starts finds in its environment. */
import { isUtf8 } from "node:buffer";
import { GatehouseError, LIMITS } from "../core/index.ts";
import type { Io } from "./io.ts";
import type { SecretVariable } from "./secret-variables.ts";

/** Ours that say no secret: a command that is itself this program finds the same install. All others stay here. */
const HANDED_ON: ReadonlySet<string> = new Set(
  ["HOME", "KEY_DIR", "NAME", "TIMEOUT", "LOG_LEVEL", "DEBUG"].map((name) => `GATEHOUSE_${name}`),
);

export interface FetchedVariable extends SecretVariable {
  /** Borrowed. */
  readonly value: Uint8Array;
}

/**
 * `env` with the secrets in it. The texts it holds cannot be wiped: whoever asks lets go of them soon.
 *
 * @throws GatehouseError `usage.bad-argument` for a value that is no text, has a NUL, or is too long for a variable.
 */
export function childEnvironment(
  env: Io["env"],
  secrets: readonly FetchedVariable[],
): Readonly<Record<string, string | undefined>> {
  const handedOn = Object.entries(env).filter(
    ([name]) => !name.toUpperCase().startsWith("GATEHOUSE_") || HANDED_ON.has(name.toUpperCase()),
  );
  return Object.fromEntries([
    ...handedOn,
    ...secrets.map((secret) => [secret.name, textOf(secret)] as const),
  ]);
}

function textOf({ name, path, value }: FetchedVariable): string {
  const fault = faultOf(name, value);
  if (fault === undefined) return Buffer.from(value.buffer, value.byteOffset, value.length).toString("utf8");
  throw new GatehouseError("usage.bad-argument", `${path} cannot be ${name}: ${fault}`, {
    hint: "the command can read it by itself, with: gatehouse vault get",
  });
}

function faultOf(name: string, value: Uint8Array): string | undefined {
  if (value.includes(0)) return "it has a NUL byte, which ends a variable";
  if (!isUtf8(value)) return "it is not UTF-8 text";
  if (name.length + 1 + value.length > LIMITS.environmentEntryBytes) {
    return `a variable with its name has at most ${LIMITS.environmentEntryBytes} bytes`;
  }
  return undefined;
}
