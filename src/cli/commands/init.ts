import { silentLogger, systemClock, systemRandom } from "../../core/index.ts";
import type { Commands } from "../context.ts";
import { facts } from "../table.ts";
import { grouped } from "../words.ts";

export function addInit({ program, bind }: Commands): void {
  const command = program
    .command("init")
    .description("make the identity, the certificate authority and the vault of a new gatehouse")
    .option("--name <name>", "what to call it; the host's name by default");
  bind(command, async ({ config, output, io }) => {
    const { initHome } = await import("../../daemon/index.ts");
    const { home, keyDir, name } = config;
    const made = await initHome({
      ...{ home, keyDir, name, clock: systemClock, random: systemRandom, logger: silentLogger },
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
    if (!output.isJson) output.note(`\nStart it with: ${io.invocation} serve`);
    return undefined;
  });
}
