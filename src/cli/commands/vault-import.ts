import { ERROR_CODES, LIMITS } from "../../core/index.ts";
import type { Context } from "../context.ts";
import { type ImportFormat, type ImportPlan, planImport } from "../import-entries.ts";
import { type ImportMode, type ImportOutcome, importAll, refuseTaken, takenPaths } from "../import-run.ts";
import { readTextFile } from "../input.ts";
import { type RemoteOption, withSession } from "../session.ts";
import { printable } from "../style.ts";
import { plural } from "../words.ts";

interface ImportOptions extends RemoteOption {
  readonly prefix?: string;
  readonly format?: ImportFormat;
  readonly dryRun?: boolean;
  readonly ifAbsent?: boolean;
  readonly overwrite?: boolean;
}

export async function importSecrets(
  context: Context,
  [file = ""]: readonly string[],
  options: ImportOptions,
): Promise<number | undefined> {
  const { output } = context;
  const { prefix = "", dryRun = false } = options;
  const format = options.format ?? (/\.json$/i.test(file) ? "json" : "env");
  const plan = planImport(await readTextFile(context, file, LIMITS.importFileBytes), format, prefix);
  for (const { line, message } of plan.warnings) {
    if (!output.isJson) output.note(output.noteStyle.yellow(`line ${line}: ${message}`));
  }
  try {
    const outcome = await carryOut(context, plan, options);
    const document = { ...outcome, warnings: plan.warnings, isDryRun: dryRun };
    output.done(document, () => describe(outcome, dryRun));
    if (!dryRun && file !== "-" && !output.isJson && outcome.imported.length > 0) {
      output.note(`${printable(file)} still holds the values for everybody who may read it`);
    }
    const [failure] = outcome.failed;
    return failure === undefined ? undefined : ERROR_CODES[failure.code].exit;
  } finally {
    for (const { value } of plan.entries) value.fill(0);
  }
}

interface PlannedOutcome extends Omit<ImportOutcome, "imported"> {
  /** Without a version while nothing was stored. */
  readonly imported: readonly { readonly path: string; readonly version?: number }[];
}

function carryOut(
  context: Context,
  { entries }: ImportPlan,
  options: ImportOptions,
): Promise<PlannedOutcome> {
  const { output } = context;
  const mode = modeOf(options);
  return withSession(context, options, async (session) => {
    const taken =
      mode === "overwrite" ? new Set<string>() : await takenPaths(session, entries, options.prefix ?? "");
    if (mode === "refuse") refuseTaken(taken);
    const absent = entries.filter(({ path }) => !taken.has(path));
    const progress = (done: number) => output.progress(`${done} of ${absent.length} stored`);
    const outcome: PlannedOutcome =
      options.dryRun === true
        ? { imported: absent.map(({ path }) => ({ path })), skipped: [], failed: [] }
        : await importAll(session, absent, { mode, progress });
    return { ...outcome, skipped: [...taken, ...outcome.skipped] };
  });
}

function modeOf({ ifAbsent, overwrite }: ImportOptions): ImportMode {
  if (overwrite === true) return "overwrite";
  return ifAbsent === true ? "if-absent" : "refuse";
}

function describe({ imported, skipped, failed }: PlannedOutcome, isDryRun: boolean): string {
  const verb = isDryRun ? "would store" : "stored";
  return [
    `${verb} ${plural(imported.length, "secret")}`,
    ...(isDryRun ? imported.map(({ path }) => `  ${printable(path)}`) : []),
    ...(skipped.length === 0 ? [] : [`left ${plural(skipped.length, "path")} with a value as they were`]),
    ...failed.map(({ path, message }) => `not stored: ${printable(path)}: ${printable(message)}`),
  ].join("\n");
}
