import { isAbsolute } from "node:path";
import { type Clock, GatehouseError, type Random, type SecretBytes } from "../core/index.ts";
import { commandProvider } from "./command.ts";
import { keyFileProvider } from "./key-file.ts";
import type { KeyProvider } from "./key-provider.ts";
import { keyringProvider } from "./keyring.ts";
import { type AskPassphrase, passphraseProvider } from "./passphrase.ts";
import { recoveryProvider } from "./recovery.ts";
import { systemdCredentialProvider } from "./systemd-credential.ts";

const SPEC_CHARACTERS_MAX = 4_096;

/** Where keys are kept, as people say it: what `--kek` takes. `kind` is that of the provider. */
export type KeyProviderSpec =
  | { readonly kind: "key-file"; readonly path: string | undefined }
  | { readonly kind: "passphrase" | "keyring" | "systemd" | "recovery" }
  | { readonly kind: "command"; readonly command: readonly string[] };

/**
 * Reads `keyfile`, `keyfile:PATH`, `passphrase`, `keyring`, `systemd`, `recovery` or `command:…`: a program and its arguments,
 * apart by spaces, or as a JSON array of texts.
 *
 * @throws GatehouseError `usage.bad-argument`, without a word of `text`: it may hold a secret by mistake.
 */
export function parseKeyProviderSpec(text: string): KeyProviderSpec {
  if (text.length > SPEC_CHARACTERS_MAX || text.includes("\0"))
    throw badSpec("the key's place is no such text");
  const colon = text.indexOf(":");
  const [name, rest] = colon === -1 ? [text, undefined] : [text.slice(0, colon), text.slice(colon + 1)];
  switch (name) {
    case "keyfile":
      if (rest === "") throw badSpec("the path of the key file is missing");
      return { kind: "key-file", path: rest };
    case "passphrase":
    case "keyring":
    case "systemd":
    case "recovery":
      if (rest !== undefined) throw badSpec(`nothing may follow ${name}`);
      return { kind: name };
    case "command":
      return { kind: "command", command: parseCommand(rest ?? "") };
    default:
      throw badSpec("there is no such place to keep a key");
  }
}

export interface KeyProviderContext {
  /** Of key files that nobody named. Absolute. */
  readonly keyDir: string;
  readonly random: Random;
  readonly ask: AskPassphrase;
  /** Answers the recovery key's text, to be wiped. */
  readonly askRecoveryKey?: () => Promise<SecretBytes | Uint8Array>;
  /** `$CREDENTIALS_DIRECTORY`. */
  readonly credentialsDir: string | undefined;
  /** All that the command or the keyring's tool gets of the environment. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly clock?: Clock;
}

/**
 * The provider that `spec` means. A named key file holds one key, so the identity has one of its own beside the
 * vault's, named `PATH.identity`; every other provider serves both.
 *
 * @throws GatehouseError `usage.bad-argument` when the key file's path is relative: a service has no such place.
 */
export function keyProviderFor(
  spec: KeyProviderSpec,
  use: "vault" | "identity",
  context: KeyProviderContext,
): KeyProvider {
  switch (spec.kind) {
    case "key-file":
      return keyFiles(spec.path, use, context);
    case "passphrase":
      return passphraseProvider(context);
    case "keyring":
      return keyringProvider(context);
    case "systemd":
      return systemdCredentialProvider(context);
    case "recovery":
      return recoveryProvider({ ask: context.askRecoveryKey ?? nobodyToAsk });
    case "command":
      return commandProvider({ ...context, command: spec.command });
  }
}

function keyFiles(
  path: string | undefined,
  use: "vault" | "identity",
  { keyDir, random }: KeyProviderContext,
): KeyProvider {
  if (path === undefined) return keyFileProvider({ dir: keyDir, random });
  if (!isAbsolute(path)) throw badSpec("the path of the key file is not absolute");
  return keyFileProvider({ path: use === "identity" ? `${path}.identity` : path, random });
}

function nobodyToAsk(): Promise<never> {
  return Promise.reject(new GatehouseError("key.missing", "nobody is here to give the recovery key"));
}

function parseCommand(text: string): readonly string[] {
  const command = text.trimStart().startsWith("[") ? parseArray(text) : parseWords(text);
  if ((command[0] ?? "") === "") throw badSpec("the command names no program");
  return command;
}

function parseWords(text: string): readonly string[] {
  // A shell would read them; here they would silently become part of an argument.
  if (/["'\\]/.test(text)) throw badSpec("a command with quotes must be a JSON array");
  return text.split(" ").filter((word) => word !== "");
}

function parseArray(text: string): readonly string[] {
  const value = parseJson(text);
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
    throw badSpec("the command is not a JSON array of texts");
  }
  // JSON can write what the text itself may not hold.
  if (value.some((item) => item.includes("\0"))) throw badSpec("an argument of the command is no such text");
  return value;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function badSpec(message: string): GatehouseError<"usage.bad-argument"> {
  return new GatehouseError("usage.bad-argument", message, {
    hint: 'say keyfile, keyfile:PATH, passphrase, keyring, systemd, or command:["PROGRAM","ARGUMENT"]',
  });
}
