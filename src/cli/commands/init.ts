import { silentLogger, systemClock, systemRandom } from "../../core/index.ts";
import type { Commands } from "../context.ts";
import { type KeyOptions, vaultKey, withKeyOptions } from "../keys.ts";
import { loadDaemon } from "../load-daemon.ts";
import { type RecoveryOptions, recoveryChoice, withRecoveryOptions } from "../recovery-key.ts";
import { facts } from "../table.ts";
import { grouped } from "../words.ts";

type InitOptions = KeyOptions & RecoveryOptions;

export function addInit({ program, bind }: Commands): void {
  const command = program
    .command("init")
    .description("make the identity, the certificate authority and the vault of a new gatehouse")
    .option("--name <name>", "what to call it; the host's name by default");
  bind(withRecoveryOptions(withKeyOptions(command)), async (context, _args, options: InitOptions) => {
    const { config, output, io } = context;
    const { initHome } = await loadDaemon();
    using key = vaultKey(context, options);
    using recovery = recoveryChoice(options);
    const { home, keyDir, name } = config;
    const made = await initHome({
      ...{ home, keyDir, name, clock: systemClock, random: systemRandom, logger: silentLogger },
      ...{ kek: key.provider, recipient: recovery.recipient },
    });
    output.result({ ...made, home }, () =>
      facts(
        [
          ["name", made.name],
          ["device id", made.deviceId],
          ["fingerprint", grouped(made.fingerprint)],
          ["home", home],
          ["keys", keyDir],
        ],
        output.style,
      ),
    );
    recovery.show(context);
    if (!output.isJson) output.note(`\nStart it with: ${io.invocation} serve`);
    return undefined;
  });
}
