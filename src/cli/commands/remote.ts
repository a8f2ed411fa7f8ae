import type { Remote } from "../../client/index.ts";
import { formatListenAddress, parseListenAddress } from "../../config/index.ts";
import type { Commands, Context } from "../context.ts";
import { table } from "../table.ts";
import { relativeDate } from "../words.ts";

export function addRemote({ program, bind }: Commands): void {
  const remote = program.command("remote").description("the gatehouses that this install is paired with");
  bind(remote.command("ls").description("list them"), list);
  bind(remote.command("set <name> <address>").description("change where a gatehouse is dialled"), set);
  bind(remote.command("default <name>").description("choose the one to ask when --on is not given"), choose);
  bind(remote.command("rm <name>").description("forget a gatehouse"), remove);
}

async function openRemotes({ config }: Context) {
  const { Remotes } = await import("../../client/index.ts");
  return Remotes.of(config.home);
}

async function list(context: Context): Promise<undefined> {
  const { output } = context;
  const remotes = (await (await openRemotes(context)).list()).map(shown);
  if (remotes.length === 0 && !output.isJson) {
    output.note(`paired with no gatehouse yet; join one with: ${context.io.invocation} pair join HOST:PORT`);
    return;
  }
  const now = Date.now();
  output.result({ remotes }, () =>
    table(
      ["name", "address", "role", "certificate expires", "device id", ""],
      remotes.map((remote) => [
        ...[remote.name, remote.address, remote.role, relativeDate(remote.certificateExpiresAt, now)],
        ...[remote.deviceId, remote.isDefault ? "default" : ""],
      ]),
      output.style,
    ),
  );
}

/** Without keys and certificates, which say nothing to people. */
function shown(remote: Remote & { readonly isDefault: boolean }) {
  const { name, gatehouseId, address, role, isDefault, pairedAt, certificateExpiresAt } = remote;
  return { name, deviceId: gatehouseId, address, role, isDefault, pairedAt, certificateExpiresAt };
}

async function set(context: Context, [name = "", text = ""]: readonly string[]): Promise<undefined> {
  const address = formatListenAddress(parseListenAddress(text));
  const remote = await (await openRemotes(context)).setAddress(name, address);
  context.output.done({ remote: { name: remote.name, address } }, () => `${name} is dialled at ${address}`);
}

async function choose(context: Context, [name = ""]: readonly string[]): Promise<undefined> {
  const remote = await (await openRemotes(context)).setDefault(name);
  context.output.done({ remote: { name: remote.name } }, () => `${name} is asked by default`);
}

async function remove(context: Context, [name = ""]: readonly string[]): Promise<undefined> {
  await (await openRemotes(context)).remove(name);
  context.output.done(
    { removed: name },
    () => `forgot ${name}; it still knows this device until it revokes it`,
  );
}
