import { isUtf8 } from "node:buffer";
import { GatehouseError } from "../../core/index.ts";
import { parseCount } from "../arguments.ts";
import type { Commands, Context } from "../context.ts";
import { readValue } from "../input.ts";
import { collectPages } from "../pages.ts";
import { type RemoteOption, type Session, withRemoteOption, withSession } from "../session.ts";
import { printable } from "../style.ts";
import { table } from "../table.ts";
import { byteSize, relativeDate } from "../words.ts";

export function addVault(commands: Commands): void {
  const vault = commands.program.command("vault").description("keep and fetch secrets");
  const add = (usage: string, description: string) =>
    withRemoteOption(vault.command(usage).description(description));
  commands.bind(
    add("put <path>", "store a value from standard input, a file, or typed without echo")
      .option("--file <file>", "take the value from a file, byte for byte; - is standard input")
      .option("--if-version <n>", "only if this is the newest version; 0: only if there is none"),
    put,
  );
  commands.bind(
    add("get <path>", "write a value to standard output, byte for byte").option(
      "--version <n>",
      "an older version",
    ),
    get,
  );
  commands.bind(add("ls [prefix]", "list the secrets you may see, below a folder"), list);
  commands.bind(add("history <path>", "list the versions of a secret"), history);
  commands.bind(
    add("rm <path>", "remove a secret; its versions stay in the history").option(
      "--if-version <n>",
      "only if this is the newest version",
    ),
    remove,
  );
}

interface PutOptions extends RemoteOption {
  readonly file?: string;
  readonly ifVersion?: string;
}

async function put(
  context: Context,
  [path = ""]: readonly string[],
  options: PutOptions,
): Promise<undefined> {
  const condition = versionCondition(options.ifVersion);
  // Read before dialling: somebody may be typing it.
  const value = await readValue(context, options.file);
  const stored = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Vault.Put, { path, value, ...condition }, call),
  );
  value.fill(0);
  const { version } = stored;
  context.output.done(
    { path: stored.path, version },
    () => `stored ${printable(stored.path)}, version ${version}`,
  );
}

interface GetOptions extends RemoteOption {
  readonly version?: string;
}

async function get(
  context: Context,
  [path = ""]: readonly string[],
  options: GetOptions,
): Promise<undefined> {
  const version = options.version === undefined ? 0 : parseCount(options.version, "--version", { min: 1 });
  const found = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Vault.Get, { path, version }, call),
  );
  if (context.output.isJson) {
    const value = Buffer.from(found.value).toString("base64");
    const { createdAt } = found;
    context.output.result({ path: found.path, version: found.version, value, createdAt }, () => "");
  } else writeValue(context, found.value);
}

/** On a terminal, a value must not act as commands to it, and the prompt should not stick to it. */
function writeValue({ io, output }: Context, value: Uint8Array): void {
  const isTerminal = io.stdout.isTTY === true;
  if (isTerminal && !isPlainText(value)) {
    throw new GatehouseError("usage.bad-argument", "the value is not plain text, and this is a terminal", {
      hint: "send it to a file or a pipe, or ask for --json",
    });
  }
  output.bytes(value);
  if (isTerminal && value.at(-1) !== 0x0a) output.prompt("\n");
}

function isPlainText(value: Uint8Array): boolean {
  return isUtf8(value) && !/(?![\t\n])\p{Cc}/u.test(Buffer.from(value).toString("utf8"));
}

interface SecretDocument {
  readonly path: string;
  readonly version: number;
  readonly createdAt: number;
  readonly sizeBytes: number;
}

async function list(
  context: Context,
  [prefix = ""]: readonly string[],
  options: RemoteOption,
): Promise<undefined> {
  const secrets = await withSession(context, options, (session) => listAll(session, prefix));
  const { output } = context;
  if (secrets.length === 0 && !output.isJson) {
    output.note("no secrets here that you may see");
    return;
  }
  const now = Date.now();
  output.result({ secrets }, () =>
    table(
      ["path", "version", "size", "stored"],
      secrets.map((secret) => [
        secret.path,
        String(secret.version),
        byteSize(secret.sizeBytes),
        relativeDate(secret.createdAt, now),
      ]),
      output.style,
    ),
  );
}

function listAll({ client, methods, options }: Session, prefix: string): Promise<readonly SecretDocument[]> {
  return collectPages(async (pageToken) => {
    const { secrets, nextPageToken } = await client.call(methods.Vault.List, { prefix, pageToken }, options);
    const items = secrets.map(({ path, version, createdAt, sizeBytes }) => ({
      ...{ path: path ?? "", version: version ?? 0, createdAt: createdAt ?? 0, sizeBytes: sizeBytes ?? 0 },
    }));
    return { items, nextPageToken };
  });
}

async function history(
  context: Context,
  [path = ""]: readonly string[],
  options: RemoteOption,
): Promise<undefined> {
  const found = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Vault.History, { path }, call),
  );
  const now = Date.now();
  const versions = found.versions.map(({ version, createdAt, sizeBytes, createdBy, isRemoved }) => ({
    version: version ?? 0,
    createdAt: createdAt ?? 0,
    sizeBytes: sizeBytes ?? 0,
    createdBy: createdBy ?? "",
    isRemoved: isRemoved ?? false,
  }));
  context.output.result({ path: found.path, versions }, () =>
    table(
      ["version", "size", "stored", "by", ""],
      versions.map((entry) => [
        String(entry.version),
        byteSize(entry.sizeBytes),
        relativeDate(entry.createdAt, now),
        entry.createdBy.slice(0, 8),
        entry.isRemoved ? "removed" : "",
      ]),
      context.output.style,
    ),
  );
}

interface RemoveOptions extends RemoteOption {
  readonly ifVersion?: string;
}

async function remove(
  context: Context,
  [path = ""]: readonly string[],
  options: RemoveOptions,
): Promise<undefined> {
  const condition = versionCondition(options.ifVersion);
  const removed = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Vault.Remove, { path, ...condition }, call),
  );
  const { version } = removed;
  context.output.done(
    { path: removed.path, version },
    () => `removed ${printable(removed.path)}, which was at version ${version}`,
  );
}

function versionCondition(text: string | undefined): { readonly ifVersion?: number } {
  return text === undefined ? {} : { ifVersion: parseCount(text, "--if-version") };
}
