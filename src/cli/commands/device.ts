import { EXIT } from "../../core/index.ts";
import type { Commands, Context } from "../context.ts";
import { canAsk, confirm } from "../input.ts";
import { collectPages } from "../pages.ts";
import { type RemoteOption, type Session, withRemoteOption, withSession } from "../session.ts";
import { facts, table } from "../table.ts";
import { grouped, relativeDate } from "../words.ts";

export function addDevice(commands: Commands): void {
  const device = commands.program.command("device").description("see, revoke and release paired devices");
  const add = (usage: string, description: string) =>
    withRemoteOption(device.command(usage).description(description));
  commands.bind(add("ls", "list the devices that this gatehouse knows"), list);
  commands.bind(add("show <device>", "show one device, by name, id or the beginning of its id"), show);
  commands.bind(
    add("revoke <device>", "shut a device out, for good").option("--yes", "do not ask on a terminal"),
    revoke,
  );
  commands.bind(add("release <device>", "let a device in again that froze the gatehouse"), release);
}

/** A device as scripts see it. */
interface DeviceDocument {
  readonly id: string;
  readonly name: string;
  readonly role: string;
  readonly state: string;
  readonly kind: string;
  readonly platform: string;
  readonly fingerprint: string;
  readonly pairedAt: number;
  readonly lastSeenAt: number;
  readonly certificateExpiresAt: number;
  readonly revokedAt: number;
  readonly quarantinedAt: number;
}

type Nullable<Fields> = { readonly [Key in keyof Fields]?: Fields[Key] | null };

/** The fields one by one, so that nothing the schema gains later slips out unseen. */
function asDocument(record: Nullable<DeviceDocument>): DeviceDocument {
  return {
    id: record.id ?? "",
    name: record.name ?? "",
    role: record.role ?? "",
    state: record.state ?? "",
    kind: record.kind ?? "",
    platform: record.platform ?? "",
    fingerprint: record.fingerprint ?? "",
    pairedAt: record.pairedAt ?? 0,
    lastSeenAt: record.lastSeenAt ?? 0,
    certificateExpiresAt: record.certificateExpiresAt ?? 0,
    revokedAt: record.revokedAt ?? 0,
    quarantinedAt: record.quarantinedAt ?? 0,
  };
}

async function list(context: Context, _args: readonly string[], options: RemoteOption): Promise<undefined> {
  const devices = await withSession(context, options, listAll);
  const now = Date.now();
  const { output } = context;
  output.result({ devices }, () =>
    table(
      ["name", "role", "state", "last seen", "id"],
      devices.map(({ name, role, state, lastSeenAt, id }) => [
        ...[name, role, state, relativeDate(lastSeenAt, now), id],
      ]),
      output.style,
    ),
  );
}

async function listAll({ client, methods, options }: Session): Promise<readonly DeviceDocument[]> {
  return collectPages(async (pageToken) => {
    const { devices, nextPageToken } = await client.call(methods.Device.List, { pageToken }, options);
    return { items: devices.map(asDocument), nextPageToken };
  });
}

async function show(
  context: Context,
  [device = ""]: readonly string[],
  options: RemoteOption,
): Promise<undefined> {
  const found = asDocument(
    await withSession(context, options, ({ client, methods, options: call }) =>
      client.call(methods.Device.Show, { device }, call),
    ),
  );
  context.output.result(found, () => describe(context, found));
}

function describe({ output }: Context, device: DeviceDocument): string {
  const now = Date.now();
  const { name, role, state, kind, platform } = device;
  const since = Math.max(device.revokedAt, state === "quarantined" ? device.quarantinedAt : 0);
  return facts(
    [
      ["name", name],
      ["id", device.id],
      ["fingerprint", grouped(device.fingerprint)],
      ["role", role],
      ["state", since === 0 ? state : `${state} ${relativeDate(since, now)}`],
      ["kind", [kind, platform].filter((text) => text !== "").join(", ")],
      ["paired", relativeDate(device.pairedAt, now)],
      ["last seen", relativeDate(device.lastSeenAt, now)],
      ["certificate", `expires ${relativeDate(device.certificateExpiresAt, now)}`],
    ],
    output.style,
  );
}

interface RevokeOptions extends RemoteOption {
  readonly yes?: boolean;
}

async function revoke(
  context: Context,
  [device = ""]: readonly string[],
  options: RevokeOptions,
): Promise<number | undefined> {
  return withSession(context, options, async ({ client, methods, options: call }) => {
    if (options.yes !== true && canAsk(context)) {
      const found = asDocument(await client.call(methods.Device.Show, { device }, call));
      context.output.note(describe(context, found));
      if (!(await confirm(context, "Revoke this device? It cannot be undone."))) {
        context.output.note("nothing was revoked");
        return EXIT.unexpected;
      }
    }
    const revoked = asDocument(await client.call(methods.Device.Revoke, { device }, call));
    context.output.done(revoked, () => `revoked ${revoked.name} (${revoked.id.slice(0, 8)}…)`);
    return undefined;
  });
}

async function release(
  context: Context,
  [device = ""]: readonly string[],
  options: RemoteOption,
): Promise<undefined> {
  const released = asDocument(
    await withSession(context, options, ({ client, methods, options: call }) =>
      client.call(methods.Device.Release, { device }, call),
    ),
  );
  const { name, id, state } = released;
  context.output.done(released, () => `${name} (${id.slice(0, 8)}…) is ${state}`);
}
