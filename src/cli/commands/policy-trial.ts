/** Policies that are tried before they are put, on this machine or at the gatehouse. */
import { basename } from "node:path";
import { EXIT } from "../../core/index.ts";
import type { PolicySource } from "../../daemon/index.ts";
import type { Context } from "../context.ts";
import { readTextFile } from "../input.ts";
import { loadDaemon } from "../load-daemon.ts";
import { asSource } from "../policy-document.ts";
import { parseEntity } from "../policy-entity.ts";
import { type RemoteOption, withSession } from "../session.ts";
import { printable } from "../style.ts";
import { plural, relativeDate } from "../words.ts";

const POLICY_BYTES_MAX = 262_144;
const TABLE_BYTES_MAX = 1_048_576;

interface FindingDocument {
  readonly policy: string;
  readonly kind: string;
  readonly message: string;
}

export async function check(
  context: Context,
  files: readonly string[],
  options: RemoteOption,
): Promise<number | undefined> {
  const { findings, seen } =
    files.length === 0 ? await checkThere(context, options) : await checkHere(context, files);
  const { output } = context;
  const { style } = output;
  output.result({ findings, ...(seen === undefined ? {} : seen) }, () =>
    [
      ...findings.map(({ policy, kind, message }) => {
        const name = policy === "" ? "" : `${style.bold(printable(policy))}: `;
        return `${kind === "invalid" ? style.red(kind) : style.yellow(kind)}  ${name}${printable(message)}`;
      }),
      findings.length === 0 ? style.green("nothing is wrong with them") : plural(findings.length, "finding"),
      ...(seen === undefined || seen.recorded === 0
        ? []
        : [
            style.dim(
              `beside ${plural(seen.recorded, "different request")} since ${relativeDate(seen.recordedSince, Date.now())}`,
            ),
          ]),
    ].join("\n"),
  );
  return findings.some(({ kind }) => kind === "invalid") ? EXIT.usage : undefined;
}

async function checkThere(context: Context, options: RemoteOption) {
  const answer = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Policy.Check, {}, call),
  );
  const findings: readonly FindingDocument[] = answer.findings.map(({ policy, kind, message }) => ({
    ...{ policy: policy ?? "", kind: kind ?? "", message: message ?? "" },
  }));
  return { findings, seen: { recorded: answer.recorded, recordedSince: answer.recordedSince } };
}

async function checkHere(context: Context, files: readonly string[]) {
  const { checkPolicyTexts } = await loadDaemon();
  const findings: readonly FindingDocument[] = await checkPolicyTexts(await sourcesIn(context, files));
  return { findings, seen: undefined };
}

export async function test(
  context: Context,
  [file = "", ...files]: readonly string[],
  options: RemoteOption,
): Promise<number | undefined> {
  const { testPolicyTexts } = await loadDaemon();
  const table = await readTextFile(context, file, TABLE_BYTES_MAX);
  const sources = files.length === 0 ? await sourcesThere(context, options) : await sourcesIn(context, files);
  const rows = await testPolicyTexts(table, sources);
  const failed = rows.filter(({ passed }) => !passed);
  const { output } = context;
  const { style } = output;
  output.result({ passed: rows.length - failed.length, failed: failed.length, rows }, () =>
    [
      ...failed.map(({ row, expected, actual, why }) =>
        [
          `${style.red("failed")}  ${printable(row)}`,
          `        expected ${printable(expected)}, got ${printable(actual)}`,
          ...why.map((words) => style.dim(`        ${printable(words)}`)),
        ].join("\n"),
      ),
      `${rows.length - failed.length} passed, ${failed.length} failed`,
    ].join("\n"),
  );
  return failed.length === 0 ? undefined : EXIT.conflict;
}

async function sourcesIn(context: Context, files: readonly string[]): Promise<readonly PolicySource[]> {
  const sources: PolicySource[] = [];
  for (const file of files) {
    const text = await readTextFile(context, file, POLICY_BYTES_MAX);
    sources.push({
      id: basename(file)
        .replace(/\.cedar$/, "")
        .toLowerCase()
        .replace(/[^a-z0-9._-]/g, "-"),
      text,
    });
  }
  return sources;
}

async function sourcesThere(context: Context, options: RemoteOption): Promise<readonly PolicySource[]> {
  const answer = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Policy.Export, { set: 0 }, call),
  );
  return answer.sources.map(asSource).map(({ id, text, link }) => {
    if (link === undefined) return { id, text };
    const { template, principal, resource } = link;
    return {
      ...{ id, template },
      ...(principal === undefined ? {} : { principal: parseEntity(principal) }),
      ...(resource === undefined ? {} : { resource: parseEntity(resource) }),
    };
  });
}
