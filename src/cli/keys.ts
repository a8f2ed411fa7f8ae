/** Where the keys are kept that open what lies in a home. */
import type { Command } from "commander";
import { systemClock, systemRandom } from "../core/index.ts";
import {
  type KeyProvider,
  type KeyProviderSpec,
  keyProviderFor,
  parseKeyProviderSpec,
} from "../keystore/index.ts";
import type { Context } from "./context.ts";
import { Passphrase } from "./passphrase.ts";

/** What the keyring's tools and the operator's command need of the user's session. */
const ENVIRONMENT = ["PATH", "HOME", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"] as const;

export interface KeyOptions {
  readonly kek?: string;
  readonly kekPassphraseFile?: string;
}

/** Adds `--kek-passphrase-file FILE` to a command that opens what a passphrase may keep closed. */
export function withPassphraseOption(command: Command): Command {
  return command.option(
    "--kek-passphrase-file <file>",
    "read the passphrase from the first line of a file; - is standard input",
  );
}

/** Adds `--kek SPEC` and what belongs to it to a command that makes or opens a home. */
export function withKeyOptions(command: Command): Command {
  const spec = "keyfile[:PATH], passphrase, keyring, systemd or command:PROGRAM";
  return withPassphraseOption(
    command.option("--kek <spec>", `where the key that opens the vault is kept: ${spec}`),
  );
}

/** The providers of a home; disposing them forgets the passphrase, which nobody needs once the home is open. */
export interface HomeKeys extends Disposable {
  readonly spec: KeyProviderSpec;
  readonly vault: KeyProvider;
  readonly identity: KeyProvider;
}

/**
 * @param spec what `--kek` takes.
 * @throws GatehouseError `usage.bad-argument`. The providers throw what `keyProviderFor` and `Passphrase` say.
 */
export function homeKeys(context: Context, spec: string, { kekPassphraseFile }: KeyOptions): HomeKeys {
  const { io, config } = context;
  const parsed = parseKeyProviderSpec(spec);
  const passphrase = new Passphrase(context, kekPassphraseFile);
  const surroundings = {
    ...{ keyDir: config.keyDir, random: systemRandom, clock: systemClock, ask: passphrase.ask },
    credentialsDir: io.env["CREDENTIALS_DIRECTORY"],
    environment: Object.fromEntries(
      ENVIRONMENT.flatMap((name) => {
        const value = io.env[name];
        return value === undefined ? [] : [[name, value]];
      }),
    ),
  };
  return {
    spec: parsed,
    vault: keyProviderFor(parsed, "vault", surroundings),
    identity: keyProviderFor(parsed, "identity", surroundings),
    [Symbol.dispose]: () => passphrase[Symbol.dispose](),
  };
}
