/** Where the key is kept that opens a home's vault. */
import type { Command } from "commander";
import { GatehouseError, systemClock, systemRandom } from "../core/index.ts";
import type { homeKeySlots } from "../daemon/index.ts";
import { type KeyProvider, keyProviderFor, parseKeyProviderSpec } from "../keystore/index.ts";
import type { Context } from "./context.ts";
import { Passphrase } from "./passphrase.ts";

/** What the keyring's tools and the operator's command need of the user's session. */
const ENVIRONMENT = ["PATH", "HOME", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"] as const;

export interface KeyOptions {
  readonly kek?: string;
  readonly kekPassphraseFile?: string;
}

/** Adds `--kek SPEC` and what belongs to it to a command that makes or opens a vault. */
export function withKeyOptions(command: Command): Command {
  const places = "keyfile[:PATH], passphrase, keyring, systemd, recovery or command:PROGRAM";
  return command
    .option("--kek <place>", `where the key that opens the vault is kept: ${places}`)
    .option(
      "--kek-passphrase-file <file>",
      "read the passphrase, or the recovery key, from a file's first line; - is standard input",
    );
}

type KeySlot = Awaited<ReturnType<typeof homeKeySlots>>[number];

/** What opens a home's vault; disposing it forgets the passphrase, which nobody needs once the vault is open. */
export interface VaultKey extends Disposable {
  readonly provider: KeyProvider;
}

/** `--kek` words that say all there is to say of a kind. */
const SPEC_OF_KIND: ReadonlyMap<string, string> = new Map([
  ["key-file", "keyfile"],
  ["passphrase", "passphrase"],
  ["keyring", "keyring"],
  ["systemd", "systemd"],
  ["recovery", "recovery"],
]);

/** Best first: what needs nobody, what somebody can type, and what the vault does not remember enough of. */
const KINDS_IN_ORDER: readonly string[] = ["key-file", "keyring", "systemd", "passphrase", "recovery"];
const KINDS_THAT_NEED_NOBODY: readonly string[] = KINDS_IN_ORDER.slice(0, 3);
const TYPED_KINDS: readonly string[] = KINDS_IN_ORDER.slice(3);

/** Whether somebody could open such a vault by what they know. */
export function isTypeable(kinds: readonly string[]): boolean {
  return kinds.some((kind) => TYPED_KINDS.includes(kind));
}

/** Whether such a vault may open with nobody there. */
export function needsNobody(kinds: readonly string[]): boolean {
  return kinds.some((kind) => KINDS_THAT_NEED_NOBODY.includes(kind));
}

/**
 * As `--kek` says, or as the vault itself remembers.
 *
 * @param kinds those of the vault's slots; none where there is no vault yet.
 * @throws GatehouseError `usage.bad-argument`; `key.missing` when the vault remembers less than is needed. The provider
 * throws what `keyProviderFor` and `Passphrase` say.
 */
export function vaultKey(context: Context, options: KeyOptions, kinds: readonly string[] = []): VaultKey {
  const [first = "key-file"] = kinds;
  // Who gives a passphrase means one of the keys that take it.
  const order = options.kekPassphraseFile !== undefined && isTypeable(kinds) ? TYPED_KINDS : KINDS_IN_ORDER;
  const kind = order.find((known) => kinds.includes(known)) ?? first;
  return keyOf(context, options.kek ?? SPEC_OF_KIND.get(kind) ?? unnamed(kind), options);
}

/** As `spec` says, in the words of `--kek`; `file` has the passphrase, or the recovery key, in its first line. */
export function keyAt(context: Context, spec: string, file: string | undefined): VaultKey {
  return keyOf(context, spec, file === undefined ? {} : { kekPassphraseFile: file });
}

/** A key slot as `--json` prints it. */
export function slotDocument({ number, kind, createdAt, recipient }: KeySlot): object {
  return { number, kind, createdAt, ...(recipient === undefined ? {} : { recipient }) };
}

function unnamed(kind: string): never {
  throw new GatehouseError("key.missing", `this vault is opened by a key of the kind ${kind}`, {
    hint: "say which one: --kek command:PROGRAM",
  });
}

function keyOf(context: Context, spec: string, { kekPassphraseFile }: KeyOptions): VaultKey {
  const { io, config } = context;
  const parsed = parseKeyProviderSpec(spec);
  const isRecovery = parsed.kind === "recovery";
  const passphrase = new Passphrase(context, kekPassphraseFile, isRecovery ? "recovery key" : "passphrase");
  const surroundings = {
    ...{ keyDir: config.keyDir, random: systemRandom, clock: systemClock, ask: passphrase.ask },
    askRecoveryKey: () => passphrase.ask({ purpose: "open", id: "" }),
    credentialsDir: io.env["CREDENTIALS_DIRECTORY"],
    environment: Object.fromEntries(
      ENVIRONMENT.flatMap((name) => {
        const value = io.env[name];
        return value === undefined ? [] : [[name, value]];
      }),
    ),
  };
  return {
    provider: keyProviderFor(parsed, "vault", surroundings),
    [Symbol.dispose]: () => passphrase[Symbol.dispose](),
  };
}
