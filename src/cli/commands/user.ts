import { EXIT } from "../../core/index.ts";
import { gathered } from "../arguments.ts";
import type { Commands, Context } from "../context.ts";
import { canAsk, confirm } from "../input.ts";
import { type RemoteOption, type Session, withRemoteOption, withSession } from "../session.ts";
import { printable } from "../style.ts";
import { table } from "../table.ts";
import { plural, relativeDate } from "../words.ts";

export function addUser(commands: Commands): void {
  const user = commands.program
    .command("user")
    .description("people, to whom devices belong: a device has its user's roles as well as its own");
  const add = (usage: string, description: string) =>
    withRemoteOption(user.command(usage).description(description));
  commands.bind(
    add("add <name>", "add somebody").option("--role <role>", "a role that all their devices get", gathered),
    addOne,
  );
  commands.bind(add("ls", "list the people that this gatehouse knows"), list);
  commands.bind(
    add("rm <name>", "remove somebody; their devices stay, without the user's roles").option(
      "--yes",
      "do not ask on a terminal",
    ),
    remove,
  );
  commands.bind(add("grant <name> <role>", "give a role to somebody's devices"), grant);
  commands.bind(add("ungrant <name> <role>", "take a role from somebody's devices"), ungrant);
}

interface UserDocument {
  readonly name: string;
  readonly roles: readonly string[];
  readonly addedAt: number;
  readonly devices: readonly string[];
}

type Nullable<Fields> = { readonly [Key in keyof Fields]?: Fields[Key] | null };

function asUser({ name, roles, addedAt, devices }: Nullable<UserDocument>): UserDocument {
  return { name: name ?? "", roles: roles ?? [], addedAt: addedAt ?? 0, devices: devices ?? [] };
}

interface AddOptions extends RemoteOption {
  readonly role?: readonly string[];
}

async function addOne(
  context: Context,
  [name = ""]: readonly string[],
  { role = [], ...remote }: AddOptions,
): Promise<undefined> {
  await change(context, remote, {
    call: ({ client, methods, options }) =>
      client.call(methods.Users.Add, { name, roles: [...role] }, options),
    words: (user) =>
      [
        `added ${printable(user.name)}`,
        `Give them a device with: ${context.commandLine(`device grant DEVICE --user ${user.name}`)}`,
      ].join("\n"),
  });
}

async function list(context: Context, _args: readonly string[], options: RemoteOption): Promise<undefined> {
  const { users } = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Users.List, {}, call),
  );
  const { output } = context;
  const found = users.map(asUser);
  if (found.length === 0 && !output.isJson) {
    output.note("nobody is known yet; add somebody with: gatehouse user add NAME");
    return;
  }
  output.result({ users: found }, () =>
    table(
      ["name", "roles", "devices", "added"],
      found.map(({ name, roles, devices, addedAt }) => [
        ...[name, roles.join(", "), String(devices.length), relativeDate(addedAt, Date.now())],
      ]),
      output.style,
    ),
  );
}

interface RemoveOptions extends RemoteOption {
  readonly yes?: boolean;
}

async function remove(
  context: Context,
  [name = ""]: readonly string[],
  { yes, ...remote }: RemoveOptions,
): Promise<number | undefined> {
  const { output } = context;
  if (yes !== true && canAsk(context) && !(await confirm(context, `Remove ${name}?`))) {
    output.note("nobody was removed");
    return EXIT.unexpected;
  }
  await change(context, remote, {
    call: ({ client, methods, options }) => client.call(methods.Users.Remove, { name }, options),
    words: (user) => `removed ${printable(user.name)}; their devices belong to nobody now`,
  });
  return undefined;
}

async function grant(
  context: Context,
  [name = "", role = ""]: readonly string[],
  options: RemoteOption,
): Promise<undefined> {
  await change(context, options, {
    call: ({ client, methods, options: call }) => client.call(methods.Users.Grant, { name, role }, call),
    words: rolesNow,
  });
}

async function ungrant(
  context: Context,
  [name = "", role = ""]: readonly string[],
  options: RemoteOption,
): Promise<undefined> {
  await change(context, options, {
    call: ({ client, methods, options: call }) => client.call(methods.Users.Ungrant, { name, role }, call),
    words: rolesNow,
  });
}

function rolesNow({ name, roles, devices }: UserDocument): string {
  const all = roles.length === 0 ? "no role" : printable(roles.join(", "));
  return `${printable(name)} has ${all} now, on ${plural(devices.length, "device")}`;
}

async function change(
  context: Context,
  options: RemoteOption,
  {
    call,
    words,
  }: {
    readonly call: (session: Session) => Promise<Nullable<UserDocument>>;
    readonly words: (user: UserDocument) => string;
  },
): Promise<void> {
  const changed = asUser(await withSession(context, options, call));
  context.output.done(changed, () => words(changed));
}
