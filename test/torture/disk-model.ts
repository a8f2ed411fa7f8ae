/**
 * What a vault must hold after whatever became of its disk: said by what was asked of it and what it answered, judged by what
 * it shows and by its audit log. The log decides what a change without an answer came to, since neither can be there without
 * the other.
 */
import type { AuditLog } from "../../src/audit/index.ts";
import { isGatehouseError } from "../../src/core/index.ts";
import { parseSecretPath, type SecretPath, type Vault } from "../../src/vault/index.ts";
import { attemptIn } from "./kill-value.ts";

export interface Step {
  readonly what: "put" | "remove" | "destroy";
  readonly path: string;
}

/** One line of the ledger. Ids rise from 1; a put stores the value of attempt `id`. */
export type Note =
  | { readonly kind: "asked"; readonly id: number; readonly step: Step }
  /** `done`, or the code of its failure. */
  | { readonly kind: "answered"; readonly id: number; readonly outcome: string };

/** An open vault with its log. */
export interface Opened extends AsyncDisposable {
  readonly vault: Vault;
  readonly log: AuditLog;
}

/** In the audit log, before the id of a step. */
export const RESOURCE = "torture:";

interface Kept {
  /** Attempts by version, from 1; `undefined` for what was destroyed. */
  readonly attempts: readonly (number | undefined)[];
  readonly removedThrough: number;
}

const NOTHING: Kept = { attempts: [], removedThrough: 0 };
/** It happened; its old bytes may still be in older files. */
const DONE_BY_HALVES = "vault.not-erased";
const UNKNOWN = "rpc.outcome-unknown";

/** Everything that is wrong with `opened`, given what was asked and answered so far. */
export async function problemsOf({ vault, log }: Opened, notes: readonly Note[]): Promise<readonly string[]> {
  const verdict = await log.verify();
  if (verdict.kind !== "intact") return [`the audit log is damaged: ${verdict.reason}`];
  const heard = await heardIds(log);
  const problems = answersAgainst(heard, notes);
  const steps = new Map(notes.flatMap((note) => (note.kind === "asked" ? [[note.id, note.step]] : [])));
  const expected = new Map<string, Kept>();
  for (const { path } of steps.values()) expected.set(path, NOTHING);
  for (const id of heard) {
    const step = steps.get(id);
    if (step === undefined) problems.push(`step ${id} is in the audit log and was never asked`);
    else expected.set(step.path, after(expected.get(step.path) ?? NOTHING, id, step));
  }
  for (const [path, kept] of expected) {
    const [is, should] = [await shownBy(vault, parseSecretPath(path)), shownOf(kept)];
    if (is !== should) problems.push(`${path}: it shows "${is}" and should show "${should}"`);
  }
  const { secrets } = await vault.secrets.list({ limit: 1_000, show: "live-and-removed" });
  for (const { path } of secrets) if (!expected.has(path)) problems.push(`${path}: nobody asked for it`);
  return problems;
}

async function heardIds(log: AuditLog): Promise<readonly number[]> {
  const ids: number[] = [];
  for await (const { event } of log.records()) {
    if (event.resource.startsWith(RESOURCE)) ids.push(Number(event.resource.slice(RESOURCE.length)));
  }
  return ids;
}

function answersAgainst(heard: readonly number[], notes: readonly Note[]): string[] {
  const ids = new Set(heard);
  const problems = ids.size === heard.length ? [] : ["the audit log has an event twice"];
  for (const note of notes) {
    if (note.kind === "asked" || note.outcome === UNKNOWN) continue;
    const isDone = note.outcome === "done" || note.outcome === DONE_BY_HALVES;
    if (isDone && !ids.has(note.id)) problems.push(`step ${note.id} was acknowledged and is lost`);
    if (!isDone && ids.has(note.id))
      problems.push(`step ${note.id} was refused (${note.outcome}) and is there`);
  }
  return problems;
}

function after(kept: Kept, id: number, { what }: Step): Kept {
  const { attempts } = kept;
  if (what === "put") return { ...kept, attempts: [...attempts, id] };
  if (what === "remove") return { ...kept, removedThrough: attempts.length };
  return { ...kept, attempts: attempts.map(() => undefined) };
}

function shownOf({ attempts, removedThrough }: Kept): string {
  const one = (attempt: number | undefined, index: number): string =>
    attempt === undefined ? "destroyed" : index < removedThrough ? "removed" : `attempt ${attempt}`;
  return attempts.map((attempt, index) => `${index + 1} ${one(attempt, index)}`).join(", ");
}

/** Values are compared whole. */
async function shownBy(vault: Vault, path: SecretPath): Promise<string> {
  const shown: string[] = [];
  for (const { version, isDestroyed, isRemoved } of await historyOf(vault, path)) {
    if (isDestroyed || isRemoved) shown.push(`${version} ${isDestroyed ? "destroyed" : "removed"}`);
    else {
      const { value } = await vault.secrets.get(path, version);
      shown.push(`${version} attempt ${String(attemptIn(path, value))}`);
    }
  }
  return shown.reverse().join(", ");
}

async function historyOf(vault: Vault, path: SecretPath): ReturnType<Vault["secrets"]["history"]> {
  try {
    return await vault.secrets.history(path);
  } catch (failure) {
    if (isGatehouseError(failure, "vault.not-found")) return [];
    throw failure;
  }
}
