/** The keys that open a vault, of a home that no daemon serves just now. */
import { GatehouseError, systemClock, systemRandom } from "../../core/index.ts";
import type { HomeKeyOptions } from "../../daemon/index.ts";
import { parseCount } from "../arguments.ts";
import type { Commands, Context } from "../context.ts";
import { type KeyOptions, keyAt, slotDocument, vaultKey, withKeyOptions } from "../keys.ts";
import { loadDaemon } from "../load-daemon.ts";
import { recoveryChoice } from "../recovery-key.ts";
import { table } from "../table.ts";
import { relativeDate } from "../words.ts";

interface AddOptions extends KeyOptions {
  readonly newKek?: string;
  readonly newKekPassphraseFile?: string;
  readonly recovery?: boolean;
  readonly recoveryRecipient?: string;
}

/** Adds `key …` and what else is about keys to the `vault` command, which is there already. */
export function addKeys({ program, bind }: Commands): void {
  const vault = program.commands.find((command) => command.name() === "vault") ?? program.command("vault");
  const key = vault.command("key").description("the keys that open this home's vault");
  bind(key.command("ls").description("list them; asks for none"), list);
  const add = key
    .command("add")
    .description("add one, while no daemon runs: any of them opens the vault")
    .option("--new-kek <place>", "where the new key is kept, as for init")
    .option("--new-kek-passphrase-file <file>", "read the new passphrase from a file's first line")
    .option("--recovery", "make a recovery key, shown this once")
    .option("--recovery-recipient <age1>", "add the recipient of an age key that you have");
  bind(withKeyOptions(add), addOne);
  bind(withKeyOptions(key.command("rm <number>").description("remove one, while no daemon runs")), remove);
}

async function list({ config, output }: Context): Promise<undefined> {
  const { homeKeySlots } = await loadDaemon();
  const slots = await homeKeySlots(config.home);
  const row = ({ number, kind, createdAt, recipient = "" }: (typeof slots)[number]) => [
    ...[String(number), kind, relativeDate(createdAt, Date.now()), recipient],
  ];
  output.result({ keys: slots.map(slotDocument) }, () =>
    table(["number", "kind", "made", "recipient"], slots.map(row), output.style),
  );
}

async function addOne(context: Context, _args: readonly string[], options: AddOptions): Promise<undefined> {
  const { output } = context;
  const { addHomeKey } = await loadDaemon();
  const { newKek, newKekPassphraseFile, recovery, recoveryRecipient } = options;
  const wishes = [newKek, recovery, recoveryRecipient].filter((wish) => wish !== undefined);
  if (wishes.length !== 1) {
    throw new GatehouseError("usage.bad-argument", "say which key to add, one of them", {
      hint: "--new-kek PLACE, --recovery, or --recovery-recipient age1…",
    });
  }
  if (newKek !== undefined) {
    using added = keyAt(context, newKek, newKekPassphraseFile);
    const slot = await withHome(context, options, (home) => addHomeKey(home, added.provider));
    output.done(slotDocument(slot), () => `Key ${slot.number} (${slot.kind}) opens the vault now.`);
    return;
  }
  using choice = recoveryChoice(options);
  const { recipient = new Uint8Array() } = choice;
  const slot = await withHome(context, options, (home) => addHomeKey(home, { recipient }));
  output.done(slotDocument(slot), () => `Key ${slot.number} (recovery) opens this home now.`);
  choice.show(context);
}

async function remove(
  context: Context,
  [number = ""]: readonly string[],
  options: KeyOptions,
): Promise<undefined> {
  const { removeHomeKey } = await loadDaemon();
  const wanted = parseCount(number, "number");
  const slot = await withHome(context, options, (home) => removeHomeKey(home, wanted));
  context.output.done(slotDocument(slot), () =>
    [
      `Key ${slot.number} (${slot.kind}) does not open this vault any more; copies made before it still does.`,
      "If somebody else has it, rotate: gatehouse vault rotate --kek",
    ].join("\n"),
  );
}

async function withHome<Result>(
  context: Context,
  options: KeyOptions,
  work: (home: HomeKeyOptions) => Promise<Result>,
): Promise<Result> {
  const { homeKeyKinds } = await loadDaemon();
  const { home, keyDir } = context.config;
  using key = vaultKey(context, options, await homeKeyKinds(home));
  return await work({ home, keyDir, kek: key.provider, clock: systemClock, random: systemRandom });
}
