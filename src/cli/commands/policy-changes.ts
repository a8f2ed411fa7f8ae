/** What changes policies, or would. */
import { GatehouseError } from "../../core/index.ts";
import { parseCount } from "../arguments.ts";
import type { Context } from "../context.ts";
import { readTextFile } from "../input.ts";
import { parseEntity } from "../policy-entity.ts";
import { showShadow } from "../policy-shadow.ts";
import { type RemoteOption, withSession } from "../session.ts";
import { printable } from "../style.ts";

/** A source, and the little that JSON would add. */
const FILE_BYTES_MAX = 131_072;

interface ChangeOptions extends RemoteOption {
  readonly ifSet?: string;
  readonly forceLockout?: boolean;
  readonly shadow?: boolean;
}

interface PutOptions extends ChangeOptions {
  readonly file?: string;
  readonly template?: string;
  readonly principal?: string;
  readonly resource?: string;
}

export async function put(
  context: Context,
  [id = ""]: readonly string[],
  options: PutOptions,
): Promise<undefined> {
  const request = { id, ...(await contentOf(context, options)), ...conditions(options) };
  if (options.shadow === true) return await showShadow(context, options, { put: request });
  const change = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Policy.Put, request, call),
  );
  told(context, change, `stored ${printable(id)}`);
}

export async function remove(
  context: Context,
  [id = ""]: readonly string[],
  options: ChangeOptions,
): Promise<undefined> {
  const request = { id, ...conditions(options) };
  if (options.shadow === true) return await showShadow(context, options, { remove: request });
  const change = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Policy.Remove, request, call),
  );
  told(context, change, `removed ${printable(id)}`);
}

export async function rollback(
  context: Context,
  [set = ""]: readonly string[],
  options: ChangeOptions,
): Promise<undefined> {
  const request = { set: parseCount(set, "the set"), forceLockout: options.forceLockout === true };
  if (options.shadow === true) return await showShadow(context, options, { rollback: request });
  const change = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Policy.Rollback, request, call),
  );
  const words = request.set === 0 ? "went back to what the gatehouse comes with" : `went back to set ${set}`;
  told(context, change, words);
}

async function contentOf(context: Context, { file, template, principal, resource }: PutOptions) {
  const isLink = template !== undefined;
  if (!isLink && (principal !== undefined || resource !== undefined)) {
    throw new GatehouseError("usage.bad-argument", "--principal and --resource fill in a --template");
  }
  if (isLink && file !== undefined) {
    throw new GatehouseError("usage.bad-argument", "--file and --template exclude each other");
  }
  if (!isLink) return { text: await readTextFile(context, file ?? "-", FILE_BYTES_MAX) };
  return {
    link: {
      template,
      ...(principal === undefined ? {} : { principal: parseEntity(principal) }),
      ...(resource === undefined ? {} : { resource: parseEntity(resource) }),
    },
  };
}

function conditions({ ifSet, forceLockout }: ChangeOptions) {
  return {
    ...(ifSet === undefined ? {} : { ifSet: parseCount(ifSet, "--if-set") }),
    forceLockout: forceLockout === true,
  };
}

function told(
  { output, commandLine }: Context,
  { set, changed }: { readonly set?: number | null; readonly changed?: readonly string[] | null },
  words: string,
): void {
  const number = set ?? 0;
  output.done({ set: number, changed: changed ?? [] }, () =>
    [
      `${words}; set ${number} is in force`,
      output.style.dim(`take it back with: ${commandLine(`policy rollback ${number - 1}`)}`),
    ].join("\n"),
  );
}
