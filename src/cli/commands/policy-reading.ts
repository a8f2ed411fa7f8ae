/** What is in force, and what was. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { GatehouseError, utf8 } from "../../core/index.ts";
import { createOnce } from "../../files/index.ts";
import { parseCount } from "../arguments.ts";
import type { Context } from "../context.ts";
import { asPolicy, asSource, policyTable, sourceTable, sourceText } from "../policy-document.ts";
import { type RemoteOption, withSession } from "../session.ts";
import { printable } from "../style.ts";
import { table } from "../table.ts";
import { plural, relativeDate } from "../words.ts";

export async function list(
  context: Context,
  _args: readonly string[],
  options: RemoteOption,
): Promise<undefined> {
  const answer = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Policy.List, {}, call),
  );
  const sources = answer.sources.map(asSource);
  const policies = answer.policies.map(asPolicy);
  const { output } = context;
  const { style } = output;
  const documents = sources.map(({ text: _text, ...source }) => source);
  output.result({ set: answer.set, sources: documents, policies }, () =>
    [
      style.bold(
        answer.set === 0 ? "what the gatehouse comes with is in force" : `set ${answer.set} is in force`,
      ),
      "",
      sourceTable(sources, Date.now(), style),
      "",
      policyTable(policies, style),
    ].join("\n"),
  );
}

export async function show(
  context: Context,
  [id = ""]: readonly string[],
  options: RemoteOption,
): Promise<undefined> {
  const source = asSource(
    await withSession(context, options, ({ client, methods, options: call }) =>
      client.call(methods.Policy.Show, { id }, call),
    ),
  );
  context.output.result(source, () => sourceText(source).trimEnd().split("\n").map(printable).join("\n"));
}

interface HistoryOptions extends RemoteOption {
  readonly limit: string;
}

export async function history(
  context: Context,
  _args: readonly string[],
  { limit, ...remote }: HistoryOptions,
): Promise<undefined> {
  const answer = await withSession(context, remote, ({ client, methods, options: call }) =>
    client.call(methods.Policy.History, { limit: parseCount(limit, "--limit", { min: 1, max: 100 }) }, call),
  );
  const sets = answer.sets.map((entry) => ({
    ...{
      set: entry.set ?? 0,
      at: entry.at ?? 0,
      by: entry.by ?? "",
      byName: entry.byName ?? "",
      what: entry.what ?? "",
    },
    ...{ changed: entry.changed ?? [], from: entry.from ?? 0 },
  }));
  const { output } = context;
  if (sets.length === 0 && !output.isJson) {
    output.note("nobody has changed the policies yet");
    return;
  }
  output.result({ sets }, () =>
    table(
      ["set", "what", "sources", "when", "by"],
      sets.map(({ set, at, by, byName, what, changed, from }) => [
        ...[String(set), what === "rollback" || what === "rescue" ? `${what} to ${from}` : what],
        ...[
          changed.join(", "),
          relativeDate(at, Date.now()),
          by === "" ? "the gatehouse" : byName || by.slice(0, 8),
        ],
      ]),
      output.style,
    ),
  );
}

interface ExportOptions extends RemoteOption {
  readonly set?: string;
}

export async function exportAll(
  context: Context,
  [dir = ""]: readonly string[],
  { set, ...remote }: ExportOptions,
): Promise<undefined> {
  const number = set === undefined ? 0 : parseCount(set, "--set", { min: 1 });
  const answer = await withSession(context, remote, ({ client, methods, options: call }) =>
    client.call(methods.Policy.Export, { set: number }, call),
  );
  const sources = answer.sources.map(asSource);
  // A name from another machine becomes one of a file here.
  if (!sources.every(({ id }) => /^[a-z0-9][a-z0-9._-]{0,63}$/.test(id))) {
    throw new GatehouseError("rpc.bad-message", "the gatehouse answered with a source that cannot be");
  }
  await mkdir(dir, { recursive: true });
  const files: string[] = [];
  for (const source of sources) {
    const path = join(dir, `${source.id}.${source.link === undefined ? "cedar" : "link"}`);
    if ((await createOnce(path, utf8(sourceText(source)))) === "exists") {
      throw new GatehouseError("file.exists", `${path} is there already`, {
        hint: "export into an empty folder",
      });
    }
    files.push(path);
  }
  context.output.done({ set: answer.set, files }, () => `wrote ${plural(files.length, "file")} to ${dir}`);
}
