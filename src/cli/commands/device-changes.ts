/** What the owner does to a device. */
import { parseDuration } from "../../config/index.ts";
import { EXIT, GatehouseError, LIMITS } from "../../core/index.ts";
import type { Context } from "../context.ts";
import { asDevice, type DeviceDocument, describeDevice, deviceTable, nameOf } from "../device-document.ts";
import { canAsk, confirm } from "../input.ts";
import { type RemoteOption, type Session, withSession } from "../session.ts";
import { printable } from "../style.ts";
import { plural, relativeDate } from "../words.ts";
import { listDevices } from "./device-list.ts";

interface ConsentOptions extends RemoteOption {
  readonly yes?: boolean;
}

export async function revoke(
  context: Context,
  [device = ""]: readonly string[],
  options: ConsentOptions,
): Promise<number | undefined> {
  const { output } = context;
  return withSession(context, options, async (session) => {
    const { client, methods, options: call } = session;
    if (options.yes !== true && canAsk(context)) {
      const found = await showDevice(session, device);
      output.note(describeDevice(found, { nowMs: Date.now(), style: output.noteStyle }));
      if (!(await confirm(context, "Revoke this device? It cannot be undone."))) {
        output.note("nothing was revoked");
        return EXIT.unexpected;
      }
    }
    const revoked = asDevice(await client.call(methods.Device.Revoke, { device }, call));
    output.done(revoked, () => `revoked ${nameOf(revoked)}`);
    return undefined;
  });
}

export async function rename(
  context: Context,
  [device = "", name = ""]: readonly string[],
  options: RemoteOption,
): Promise<undefined> {
  await change(context, options, {
    call: ({ client, methods, options: call }) => client.call(methods.Device.Rename, { device, name }, call),
    words: (renamed) => `${printable(device)} is called ${nameOf(renamed)} now`,
  });
}

interface GrantOptions extends RemoteOption {
  readonly user?: string;
}

export async function grant(
  context: Context,
  [device = "", role = ""]: readonly string[],
  { user, ...remote }: GrantOptions,
): Promise<undefined> {
  checkOne(role, user, "a role, or --user NAME");
  await change(context, remote, {
    call: ({ client, methods, options: call }) =>
      user === undefined
        ? client.call(methods.Device.Grant, { device, role }, call)
        : client.call(methods.Device.Assign, { device, user }, call),
    words: user === undefined ? rolesNow : ownerNow,
  });
}

interface UngrantOptions extends RemoteOption {
  readonly user?: boolean;
}

export async function ungrant(
  context: Context,
  [device = "", role = ""]: readonly string[],
  { user, ...remote }: UngrantOptions,
): Promise<undefined> {
  checkOne(role, user, "a role, or --user");
  await change(context, remote, {
    call: ({ client, methods, options: call }) =>
      user === undefined
        ? client.call(methods.Device.Ungrant, { device, role }, call)
        : client.call(methods.Device.Assign, { device, user: "" }, call),
    words: user === undefined ? rolesNow : ownerNow,
  });
}

function checkOne(role: string, user: string | boolean | undefined, what: string): void {
  if ((role === "") !== (user === undefined)) return;
  throw new GatehouseError("usage.bad-argument", `give ${what}, and not both`);
}

interface ReadmitOptions extends RemoteOption {
  readonly for: string;
}

export async function readmit(
  context: Context,
  [device = ""]: readonly string[],
  options: ReadmitOptions,
): Promise<undefined> {
  const ttlMs = parseDuration(options.for);
  if (ttlMs > LIMITS.readmissionMaxMs) {
    throw new GatehouseError("usage.bad-argument", "a readmission lasts at most seven days", {
      hint: "for example --for 24h",
    });
  }
  await change(context, options, {
    call: ({ client, methods, options: call }) =>
      client.call(methods.Device.Readmit, { device, ttlMs }, call),
    words: (readmitted) => {
      const until = relativeDate(readmitted.readmittedUntil, Date.now());
      return `${nameOf(readmitted)} may renew its certificate until ${until}; on that device: gatehouse device renew`;
    },
  });
}

interface ReleaseOptions extends ConsentOptions {
  readonly allHeld?: boolean;
}

/** Every device is looked up before the first is released: a misspelled name changes nothing. */
export async function release(
  context: Context,
  named: readonly string[],
  options: ReleaseOptions,
): Promise<number | undefined> {
  const { output } = context;
  const { allHeld = false } = options;
  if (allHeld === named.length > 0) {
    throw new GatehouseError("usage.bad-argument", "release takes devices, or --all-held", {
      hint: "see them with: gatehouse device ls --state held, or --state quarantined",
    });
  }
  return withSession(context, options, async (session) => {
    const chosen = allHeld ? await heldDevices(session) : await showAll(session, named);
    if (allHeld && !(await mayReleaseAll(context, chosen, options))) return EXIT.unexpected;
    const released = await releaseEach(session, chosen);
    const [only] = released;
    // One that was named is answered as a device, as every other change is.
    const document = !allHeld && named.length === 1 && only !== undefined ? only : { devices: released };
    output.done(document, () => releasedWords(released));
    return undefined;
  });
}

async function mayReleaseAll(
  context: Context,
  held: readonly DeviceDocument[],
  { yes }: ConsentOptions,
): Promise<boolean> {
  if (yes === true || held.length === 0 || !canAsk(context)) return true;
  const { output } = context;
  output.note(deviceTable(held, { nowMs: Date.now(), style: output.noteStyle }));
  output.note(
    "Whoever was revoked after the copy was made is among them: revoke such a device again instead.",
  );
  if (await confirm(context, `Release ${plural(held.length, "device")}?`)) return true;
  output.note("nothing was released");
  return false;
}

async function heldDevices(session: Session): Promise<readonly DeviceDocument[]> {
  return (await listDevices(session)).filter(({ state }) => state === "held");
}

async function showAll(session: Session, named: readonly string[]): Promise<readonly DeviceDocument[]> {
  const found: DeviceDocument[] = [];
  for (const device of named) found.push(await showDevice(session, device));
  return found;
}

async function releaseEach(
  { client, methods, options }: Session,
  chosen: readonly DeviceDocument[],
): Promise<readonly DeviceDocument[]> {
  const released: DeviceDocument[] = [];
  for (const { id } of chosen) {
    released.push(asDevice(await client.call(methods.Device.Release, { device: id }, options)));
  }
  return released;
}

function releasedWords(released: readonly DeviceDocument[]): string {
  if (released.length === 0) return "no device is held";
  return released.map((device) => `${nameOf(device)} is ${printable(device.state)}`).join("\n");
}

async function showDevice({ client, methods, options }: Session, device: string): Promise<DeviceDocument> {
  const { device: found } = await client.call(methods.Device.Show, { device }, options);
  return asDevice(found ?? {});
}

function ownerNow(device: DeviceDocument): string {
  return device.user === ""
    ? `${nameOf(device)} belongs to nobody now`
    : `${nameOf(device)} belongs to ${printable(device.user)} now`;
}

function rolesNow(device: DeviceDocument): string {
  const roles = device.roles.length === 0 ? "no role" : printable(device.roles.join(", "));
  return `${nameOf(device)} has ${roles} now`;
}

async function change(
  context: Context,
  options: RemoteOption,
  {
    call,
    words,
  }: {
    readonly call: (session: Session) => Promise<Parameters<typeof asDevice>[0]>;
    readonly words: (changed: DeviceDocument) => string;
  },
): Promise<void> {
  const changed = asDevice(await withSession(context, options, call));
  context.output.done(changed, () => words(changed));
}
