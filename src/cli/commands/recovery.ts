/** What to do with the recovery key: try it, and open a home whose other keys are lost. */
import { systemClock, systemRandom } from "../../core/index.ts";
import type { Commands, Context } from "../context.ts";
import { keyAt, slotDocument } from "../keys.ts";
import { loadDaemon } from "../load-daemon.ts";
import { facts } from "../table.ts";

interface FileOption {
  readonly file?: string;
}

interface RestoreOptions extends FileOption {
  readonly newKek?: string;
  readonly newKekPassphraseFile?: string;
}

export function addRecovery({ program, bind }: Commands): void {
  const recovery = program
    .command("recovery")
    .description("the key that opens this home when all others are lost");
  const file = "read the recovery key from a file's first line; - is standard input";
  bind(
    recovery
      .command("test")
      .description("prove that a recovery key opens this home; changes nothing")
      .option("--file <file>", file),
    test,
  );
  bind(
    recovery
      .command("restore-keys")
      .description(
        "give this home new keys by its recovery key, such as after it was copied to another machine",
      )
      .option("--file <file>", file)
      .option("--new-kek <place>", "where the vault's new key is kept, as for init; keyfile by default")
      .option("--new-kek-passphrase-file <file>", "read the new passphrase from a file's first line"),
    restore,
  );
}

async function test(context: Context, _args: readonly string[], { file }: FileOption): Promise<undefined> {
  const { config, output } = context;
  const { testRecovery } = await loadDaemon();
  using key = keyAt(context, "recovery", file);
  const { vaultId, deviceId } = await testRecovery(config.home, {
    recovery: key.provider,
    random: systemRandom,
  });
  output.result({ opens: true, vaultId, deviceId }, () =>
    [
      "The recovery key opens this home.",
      facts(
        [
          ["vault", vaultId],
          ["device id", deviceId],
          ["home", config.home],
        ],
        output.style,
      ),
    ].join("\n\n"),
  );
}

async function restore(
  context: Context,
  _args: readonly string[],
  options: RestoreOptions,
): Promise<undefined> {
  const { config, output, commandLine } = context;
  const { restoreHomeKeys } = await loadDaemon();
  const { home, keyDir } = config;
  using recovery = keyAt(context, "recovery", options.file);
  using added = keyAt(context, options.newKek ?? "keyfile", options.newKekPassphraseFile);
  const own = { home, keyDir, kek: recovery.provider, clock: systemClock, random: systemRandom };
  const slot = await restoreHomeKeys(own, added.provider);
  output.done(
    { ...slotDocument(slot), keyDir },
    () => `The home has new keys (slot ${slot.number}, ${slot.kind}). Start it with: ${commandLine("serve")}`,
  );
}
