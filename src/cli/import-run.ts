/** Stores the values of a file one by one, and keeps account of them. */
import { type ErrorCode, GatehouseError, isGatehouseError } from "../core/index.ts";
import { concurrently } from "./concurrently.ts";
import type { ImportEntry } from "./import-entries.ts";
import { listSecrets } from "./secret-document.ts";
import type { Session } from "./session.ts";
import { plural } from "./words.ts";

/** What becomes of paths that have a value already. */
export type ImportMode = "refuse" | "if-absent" | "overwrite";

export interface ImportOutcome {
  readonly imported: readonly { readonly path: string; readonly version: number }[];
  /** Paths that have a value already. */
  readonly skipped: readonly string[];
  readonly failed: readonly ImportFailure[];
}

export interface ImportFailure {
  readonly path: string;
  readonly code: ErrorCode;
  readonly message: string;
}

const PUTS = 16;

/** Failures of one path that say nothing about the next one. */
const OF_ONE_PATH: readonly ErrorCode[] = ["vault.version-conflict", "authz.denied"];

/**
 * The entries whose paths have a live value that the caller may see.
 *
 * @throws GatehouseError what the gatehouse answers; that it lets nobody list there is no answer.
 */
export async function takenPaths(
  session: Session,
  entries: readonly ImportEntry[],
  prefix: string,
): Promise<ReadonlySet<string>> {
  try {
    const live = new Set((await listSecrets(session, { prefix })).map(({ path }) => path));
    return new Set(entries.map(({ path }) => path).filter((path) => live.has(path)));
  } catch (error) {
    // Whoever may write but not list meets the condition of each single put.
    if (isGatehouseError(error, "authz.denied")) return new Set();
    throw error;
  }
}

/** @throws GatehouseError `vault.version-conflict` when there are any. */
export function refuseTaken(taken: ReadonlySet<string>): void {
  const [first] = taken;
  if (first === undefined) return;
  const others = taken.size === 1 ? "" : ` and ${taken.size - 1} more`;
  throw new GatehouseError(
    "vault.version-conflict",
    `${plural(taken.size, "path")} with a value already: ${first}${others}`,
    { hint: "nothing was stored; --if-absent leaves them as they are, --overwrite stores new versions" },
  );
}

/**
 * Never rejects for what a gatehouse answers: after a failure that others would share nothing new is begun, and all that
 * was not is among the failed.
 *
 * @param progress told how many are done.
 */
export async function importAll(
  session: Session,
  entries: readonly ImportEntry[],
  { mode, progress }: { readonly mode: ImportMode; readonly progress: (done: number) => void },
): Promise<ImportOutcome> {
  const imported: { path: string; version: number }[] = [];
  const skipped: string[] = [];
  const failed: ImportFailure[] = [];
  let halt: GatehouseError | undefined;
  await concurrently(entries, PUTS, async (entry) => {
    const error = halt ?? (await put(session, entry, mode));
    if (typeof error === "number") imported.push({ path: entry.path, version: error });
    else if (mode === "if-absent" && error.code === "vault.version-conflict") skipped.push(entry.path);
    else {
      failed.push({ path: entry.path, code: error.code, message: error.message });
      if (!OF_ONE_PATH.includes(error.code)) halt ??= error;
    }
    progress(imported.length + skipped.length + failed.length);
  });
  return { imported, skipped, failed };
}

/** The version, or why there is none. */
async function put(
  { client, methods, options }: Session,
  { path, value }: ImportEntry,
  mode: ImportMode,
): Promise<number | GatehouseError> {
  const condition = mode === "overwrite" ? {} : { ifVersion: 0 };
  try {
    return (await client.call(methods.Vault.Put, { path, value, ...condition }, options)).version;
  } catch (error) {
    if (isGatehouseError(error) && error.code !== "rpc.cancelled") return error;
    throw error;
  }
}
