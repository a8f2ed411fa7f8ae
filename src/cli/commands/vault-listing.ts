/** What the vault holds, without the values. */
import { parseLabels } from "../arguments.ts";
import type { Context } from "../context.ts";
import { listSecrets, listVersions, secretTable, versionTable } from "../secret-document.ts";
import { type RemoteOption, withSession } from "../session.ts";

interface ListOptions extends RemoteOption {
  readonly label?: readonly string[];
  readonly removed?: boolean;
}

export async function list(
  context: Context,
  [prefix = ""]: readonly string[],
  options: ListOptions,
): Promise<undefined> {
  const { output } = context;
  const query = {
    prefix,
    labels: parseLabels(options.label ?? []),
    includeRemoved: options.removed === true,
  };
  const secrets = await withSession(context, options, (session) => listSecrets(session, query));
  if (secrets.length === 0 && !output.isJson) {
    output.note("no secrets here that you may see");
    return;
  }
  output.result({ secrets }, () => secretTable(secrets, { nowMs: Date.now(), style: output.style }));
}

export async function history(
  context: Context,
  [path = ""]: readonly string[],
  options: RemoteOption,
): Promise<undefined> {
  const { output } = context;
  const versions = await withSession(context, options, (session) => listVersions(session, path));
  output.result({ path, versions }, () => versionTable(versions, { nowMs: Date.now(), style: output.style }));
}
