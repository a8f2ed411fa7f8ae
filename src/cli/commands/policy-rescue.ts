/** The way back for a gatehouse whose policies let nobody in: with its vault's key, while it does not run. */
import { EXIT, silentLogger, systemClock, systemRandom } from "../../core/index.ts";
import { parseCount } from "../arguments.ts";
import type { Context } from "../context.ts";
import { canAsk, confirm } from "../input.ts";
import { type KeyOptions, vaultKey } from "../keys.ts";
import { loadDaemon } from "../load-daemon.ts";

interface RescueOptions extends KeyOptions {
  readonly set: string;
  readonly yes?: boolean;
}

export async function rescue(
  context: Context,
  _args: readonly string[],
  options: RescueOptions,
): Promise<number | undefined> {
  const { config, output, commandLine } = context;
  const set = parseCount(options.set, "--set");
  const what = set === 0 ? "what the gatehouse comes with" : `set ${set}`;
  if (options.yes !== true && canAsk(context) && !(await confirm(context, `Put ${what} in force?`))) {
    output.note("nothing was changed");
    return EXIT.unexpected;
  }
  const { homeKeyKinds, rescuePolicies } = await loadDaemon();
  const { home, keyDir } = config;
  using key = vaultKey(context, options, await homeKeyKinds(home));
  const effects = { clock: systemClock, random: systemRandom, logger: silentLogger };
  const change = await rescuePolicies({ home, keyDir, kek: key.provider, set, ...effects });
  output.done({ ...change }, () =>
    [`${what} is in force as set ${change.set}`, `start the gatehouse with: ${commandLine("serve")}`].join(
      "\n",
    ),
  );
  return undefined;
}
