import type { Remote } from "../../client/index.ts";
import { formatListenAddress, parseListenAddress } from "../../config/index.ts";
import { EXIT, GatehouseError } from "../../core/index.ts";
import type { Commands, Context } from "../context.ts";
import { canAsk, confirm } from "../input.ts";
import { printable } from "../style.ts";
import { table } from "../table.ts";
import { relativeDate } from "../words.ts";
import { exportFiles } from "./remote-export.ts";

export function addRemote({ program, bind }: Commands): void {
  const remote = program.command("remote").description("the gatehouses that this install is paired with");
  bind(remote.command("ls").description("list them"), list);
  bind(
    remote
      .command("set <name> [address]")
      .description("change where a gatehouse is dialled, or what it is called here")
      .option("--address <host:port>", "where it is dialled from now on")
      .option("--grpc <host:port|off>", "where it serves gRPC over TCP; by default where it serves QUIC")
      .option("--name <name>", "what it is called here from now on"),
    set,
  );
  bind(remote.command("default <name>").description("choose the one to ask when --on is not given"), choose);
  bind(
    remote
      .command("export [name]")
      .description(
        "write this device's certificate and a copy of its key for other programs, such as a gRPC client",
      )
      .requiredOption("--out <dir>", "a folder that nobody else can read; made when it is missing")
      .option("--force", "replace what an earlier export wrote there")
      .addHelpText("after", ABOUT_EXPORT),
    exportFiles,
  );
  bind(
    remote
      .command("rm <name>")
      .description("forget a gatehouse; it still knows this device until it revokes it")
      .option("--yes", "do not ask on a terminal"),
    remove,
  );
}

const ABOUT_EXPORT = `
The key leaves the identity's file: whoever can read the copy is this device, until its owner revokes it there.
The certificate runs out; this device renews its own in time, but nothing renews the copy: export again, with --force.`;

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

interface SetOptions {
  readonly address?: string;
  readonly grpc?: string;
  readonly name?: string;
}

async function set(
  context: Context,
  [on = "", positional]: readonly string[],
  options: SetOptions,
): Promise<undefined> {
  const text = options.address ?? positional;
  if (text === undefined && options.name === undefined && options.grpc === undefined) {
    throw new GatehouseError("usage.bad-argument", "remote set needs something to change", {
      hint: "for example --address 192.0.2.7:7443, or --name office",
    });
  }
  const address = text === undefined ? {} : { address: formatListenAddress(parseListenAddress(text)) };
  const renamed = options.name === undefined ? {} : { name: options.name };
  const grpc = options.grpc === undefined ? {} : { grpc: grpcAddress(options.grpc) };
  const remote = await (await openRemotes(context)).set(on, { ...address, ...grpc, ...renamed });
  const where = remote.grpc === undefined ? remote.address : `${remote.address}, gRPC: ${remote.grpc}`;
  context.output.done(
    { remote: { name: remote.name, address: remote.address, grpc: remote.grpc ?? remote.address } },
    () => `${printable(remote.name)} is dialled at ${where}`,
  );
}

function grpcAddress(text: string): string {
  return text === "off" ? text : formatListenAddress(parseListenAddress(text));
}

async function choose(context: Context, [name = ""]: readonly string[]): Promise<undefined> {
  const remote = await (await openRemotes(context)).setDefault(name);
  context.output.done(
    { remote: { name: remote.name } },
    () => `${printable(remote.name)} is asked by default`,
  );
}

interface RemoveOptions {
  readonly yes?: boolean;
}

async function remove(
  context: Context,
  [on = ""]: readonly string[],
  { yes }: RemoveOptions,
): Promise<number | undefined> {
  const { output } = context;
  const remotes = await openRemotes(context);
  const { name, address, deviceName } = await remotes.resolve(on);
  if (yes !== true && canAsk(context)) {
    output.note(
      `${printable(name)}, dialled at ${printable(address)}, calls this device ${printable(deviceName)}.`,
    );
    if (!(await confirm(context, "Forget it? Coming back takes pairing anew."))) {
      output.note("nothing was forgotten");
      return EXIT.unexpected;
    }
  }
  await remotes.remove(name);
  output.done({ removed: name }, () => {
    const there = `there: gatehouse device revoke ${printable(deviceName)}`;
    return `forgot ${printable(name)}; it still knows this device until it is revoked ${there}`;
  });
  return undefined;
}
