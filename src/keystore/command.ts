import { createSecretKey, type KeyObject } from "node:crypto";
import { type Clock, GatehouseError } from "../core/index.ts";
import { type ChildOutcome, runChild } from "./child.ts";
import { checkKeyId, type KeyProvider, type ProvidedKey } from "./key-provider.ts";
import { KEY_TEXT_BYTES_MAX, parseKey } from "./key-text.ts";

const TIMEOUT_MS = 10_000;

/** Where programs are looked for when the caller says nothing. */
export const DEFAULT_ENVIRONMENT: Readonly<Record<string, string>> = Object.freeze({
  PATH: "/usr/local/bin:/usr/bin:/bin",
});

/**
 * The key that a program of the operator's choice writes to its standard output: 32 raw bytes, 64 hex digits or
 * base64. It runs without a shell, in `/`, without a terminal, for 10 s at most, and learns the key's id from
 * `GATEHOUSE_KEY_ID`; it must give the same key for an id each time. Whatever else it says is dropped.
 *
 * `environment` is all else that it gets; by default a PATH only. Both methods throw GatehouseError `key.missing`
 * (it failed, was not found, or took too long), `key.wrong` (what it gave is not a key).
 *
 * @throws TypeError when `command` names no program.
 */
export function commandProvider(input: {
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
}): KeyProvider {
  const { command, environment = DEFAULT_ENVIRONMENT, ...rest } = input;
  if ((command[0] ?? "") === "") throw new TypeError("commandProvider: the command names no program");
  const load = async (id: string): Promise<KeyObject> => {
    checkKeyId(id);
    const outcome = await runChild({
      ...{ ...rest, command, environment: { ...environment, GATEHOUSE_KEY_ID: id } },
      ...{ stdoutBytesMax: KEY_TEXT_BYTES_MAX, timeoutMs: TIMEOUT_MS },
    });
    return keyIn(outcome);
  };
  return {
    kind: "command",
    create: async (id): Promise<ProvidedKey> => ({ key: await load(id), parameters: new Uint8Array() }),
    load,
  };
}

function keyIn(outcome: ChildOutcome): KeyObject {
  switch (outcome.kind) {
    case "not-started":
      throw failed("the key command could not be started", "check that the program exists and may be run");
    case "timed-out":
      throw failed("the key command did not end within 10 s", "it must not wait for anybody");
    case "killed":
      throw failed("the key command was killed");
    case "too-much":
      throw notAKey();
    case "ended":
      return keyOf(outcome);
  }
}

function keyOf({ exitCode, stdout }: ChildOutcome & { readonly kind: "ended" }): KeyObject {
  const key = parseKey(stdout);
  stdout.fill(0);
  try {
    if (exitCode !== 0) throw failed(`the key command ended with exit code ${exitCode}`);
    if (key === undefined) throw notAKey();
    return createSecretKey(key);
  } finally {
    key?.fill(0);
  }
}

function failed(message: string, hint = "run it by hand to see what it says"): GatehouseError<"key.missing"> {
  return new GatehouseError("key.missing", message, { hint });
}

function notAKey(): GatehouseError<"key.wrong"> {
  return new GatehouseError("key.wrong", "what the key command wrote is not a key", {
    hint: "it must write 32 bytes and nothing else: raw, as 64 hex digits, or as base64",
  });
}
