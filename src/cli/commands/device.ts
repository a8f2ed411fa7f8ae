import { Option } from "commander";
import type { Commands, Context } from "../context.ts";
import { asDevice, describeDevice, deviceTable } from "../device-document.ts";
import { asRight, rightsTable } from "../rights-table.ts";
import { type RemoteOption, withRemoteOption, withSession } from "../session.ts";
import { approve } from "./device-approve.ts";
import { grant, readmit, release, rename, revoke, ungrant } from "./device-changes.ts";
import { listDevices } from "./device-list.ts";
import { renew } from "./device-renew.ts";

const STATES = ["active", "quarantined", "held", "revoked"] as const;

export function addDevice(commands: Commands): void {
  const device = commands.program
    .command("device")
    .description("see paired devices, change what they may do, and shut them out or let them in");
  const add = (usage: string, description: string) =>
    withRemoteOption(device.command(usage).description(description));
  commands.bind(
    add("ls", "list the devices that this gatehouse knows").addOption(
      new Option("--state <state>", "only those in this state").choices(STATES),
    ),
    list,
  );
  commands.bind(
    add("show <device>", "show one device and what it may do, by name, id or the id's beginning"),
    show,
  );
  commands.bind(
    add("approve [device]", "say yes to a joiner that waits; without an argument, see who waits")
      .option("--deny", "say no: the pairing window closes")
      .option("--yes", "do not ask on a terminal"),
    approve,
  );
  commands.bind(
    add("revoke <device>", "shut a device out, for good").option("--yes", "do not ask on a terminal"),
    revoke,
  );
  commands.bind(add("rename <device> <name>", "give a device another name"), rename);
  commands.bind(
    add("grant <device> [role]", "give a device a role, or say whose it is").option(
      "--user <name>",
      "it belongs to them, and has their roles too",
    ),
    grant,
  );
  commands.bind(
    add("ungrant <device> [role]", "take a role from a device, or its user").option(
      "--user",
      "it belongs to nobody",
    ),
    ungrant,
  );
  commands.bind(
    add(
      "readmit <device>",
      "let a device whose certificate ran out renew it, by the key that is pinned",
    ).option("--for <duration>", "for how long, 7d at most", "24h"),
    readmit,
  );
  commands.bind(
    add("release [device...]", "let devices in again that are quarantined or held")
      .option("--all-held", "every device that waits since a restore")
      .option("--yes", "do not ask on a terminal"),
    release,
  );
  commands.bind(
    add("renew", "renew this device's own certificate now").option(
      "--new-key",
      "for a new TLS key, too; the identity stays",
    ),
    renew,
  );
}

interface ListOptions extends RemoteOption {
  readonly state?: (typeof STATES)[number];
}

async function list(context: Context, _args: readonly string[], options: ListOptions): Promise<undefined> {
  const { state } = options;
  const all = await withSession(context, options, listDevices);
  const devices = state === undefined ? all : all.filter((device) => device.state === state);
  const { output } = context;
  if (devices.length === 0 && !output.isJson) {
    output.note(`no device is ${state ?? "known"}`);
    return;
  }
  output.result({ devices }, () => deviceTable(devices, { nowMs: Date.now(), style: output.style }));
}

async function show(
  context: Context,
  [device = ""]: readonly string[],
  options: RemoteOption,
): Promise<undefined> {
  const answer = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Device.Show, { device }, call),
  );
  const { connections } = answer;
  const found = { ...asDevice(answer.device ?? {}), connections, rights: answer.rights.map(asRight) };
  const { style } = context.output;
  context.output.result(found, () =>
    [
      describeDevice(found, { nowMs: Date.now(), style }),
      "",
      rightsTable(found.rights, found.id, style),
    ].join("\n"),
  );
}
