/** One secret's value, in and out. */
import { isUtf8 } from "node:buffer";
import { parseDuration } from "../../config/index.ts";
import { GatehouseError } from "../../core/index.ts";
import { parseLabels, versionCondition, versionNumber } from "../arguments.ts";
import type { Context } from "../context.ts";
import { readValue } from "../input.ts";
import { type RemoteOption, withSession } from "../session.ts";
import { printable } from "../style.ts";
import { relativeDate } from "../words.ts";

interface PutOptions extends RemoteOption {
  readonly file?: string;
  readonly ttl?: string;
  readonly label?: readonly string[];
  readonly clearLabels?: boolean;
  readonly contentType?: string;
  readonly ifVersion?: string;
}

export async function put(
  context: Context,
  [path = ""]: readonly string[],
  options: PutOptions,
): Promise<undefined> {
  const attributes = attributesOf(options);
  // Read before dialling: somebody may be typing it.
  const value = await readValue(context, options.file);
  try {
    const stored = await withSession(context, options, ({ client, methods, options: call }) =>
      client.call(methods.Vault.Put, { path, value, ...attributes }, call),
    );
    const { version } = stored;
    const end = attributes.ttlMs === undefined ? "" : ", expires ";
    const when =
      attributes.ttlMs === undefined ? "" : relativeDate(Date.now() + attributes.ttlMs, Date.now());
    context.output.done(
      { path: stored.path, version },
      () => `stored ${printable(stored.path)}, version ${version}${end}${when}`,
    );
  } finally {
    value.fill(0);
  }
}

function attributesOf({ ttl, label, clearLabels, contentType, ifVersion }: PutOptions) {
  if (label !== undefined && clearLabels === true) {
    throw new GatehouseError("usage.bad-argument", "--label and --clear-labels contradict each other", {
      hint: "--label alone replaces all labels that the path had",
    });
  }
  return {
    ...(ttl === undefined ? {} : { ttlMs: parseDuration(ttl) }),
    ...(label === undefined && clearLabels !== true ? {} : { labels: { values: parseLabels(label ?? []) } }),
    ...(contentType === undefined ? {} : { contentType }),
    ...versionCondition(ifVersion),
  };
}

interface GetOptions extends RemoteOption {
  readonly version?: string;
}

export async function get(
  context: Context,
  [path = ""]: readonly string[],
  options: GetOptions,
): Promise<undefined> {
  const version = versionNumber(options.version);
  const found = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Vault.Get, { path, version }, call),
  );
  if (!context.output.isJson) {
    writeValue(context, found.value);
    return;
  }
  const value = Buffer.from(found.value).toString("base64");
  const { createdAt, contentType, expiresAt, labels } = found;
  const about = { createdAt, contentType, expiresAt, labels: { ...labels } };
  context.output.result({ path: found.path, version: found.version, value, ...about }, () => "");
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
