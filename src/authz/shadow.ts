import { setImmediate } from "node:timers/promises";
import { shortDeviceId } from "../identity/index.ts";
import type { Decision } from "./decision.ts";
import { shownName } from "./display.ts";
import { resourceUid } from "./entities.ts";
import type { RecordedRequest } from "./recorded-request.ts";
import type { AuthorizationRequest } from "./request.ts";
import { entityWords } from "./words.ts";

export interface ShadowOptions {
  readonly recorded: readonly RecordedRequest[];
  readonly current: DecisionMaker;
  readonly candidate: DecisionMaker;
  readonly signal?: AbortSignal | undefined;
}

/** Such as an `Authorizer`. */
export interface DecisionMaker {
  decide(request: AuthorizationRequest): Decision;
}

/** What a candidate set of policies would have decided otherwise. */
export interface ShadowReport {
  /** Rights that would be lost first, then by how often they were asked for. */
  readonly changed: readonly ShadowRow[];
  /** Distinct requests that were decided. */
  readonly decided: number;
  /** Policies of the candidate that decided something, by id. */
  readonly matched: readonly string[];
}

export interface ShadowRow {
  readonly request: AuthorizationRequest;
  /** Such as `phone (mfqwcylb): tool:run on the tool deploy`. */
  readonly summary: string;
  /** How often it came. */
  readonly count: number;
  readonly before: ShadowDecision;
  readonly after: ShadowDecision;
}

export interface ShadowDecision {
  readonly kind: Decision["kind"];
  readonly policies: readonly string[];
}

/** Decisions between two pauses: without memory some ten milliseconds, and no call waits longer for the loop. */
const DECISIONS_AT_ONCE = 25;

/**
 * Decides each recorded request under both sets, as of when it came last. Pauses after every 25 decisions.
 *
 * @throws the signal's reason when it is aborted.
 */
export async function shadow({ recorded, current, candidate, signal }: ShadowOptions): Promise<ShadowReport> {
  const changed: ShadowRow[] = [];
  const matched = new Set<string>();
  let decisionsLeft = DECISIONS_AT_ONCE;
  for (const { request, count } of recorded) {
    if (decisionsLeft < 2) {
      await setImmediate();
      signal?.throwIfAborted();
      decisionsLeft = DECISIONS_AT_ONCE;
    }
    decisionsLeft -= 2;
    const before = current.decide(request);
    const after = candidate.decide(request);
    for (const policy of after.policies) matched.add(policy);
    if (before.kind !== after.kind) changed.push(rowOf({ request, count, before, after }));
  }
  return { changed: changed.sort(lossesFirst), decided: recorded.length, matched: [...matched].sort() };
}

function rowOf({ request, count, before, after }: Omit<ShadowRow, "summary">): ShadowRow {
  return { request, summary: summaryOf(request), count, before: essence(before), after: essence(after) };
}

function essence({ kind, policies }: ShadowDecision): ShadowDecision {
  return { kind, policies };
}

function lossesFirst(a: ShadowRow, b: ShadowRow): number {
  if (a.after.kind !== b.after.kind) return a.after.kind === "deny" ? -1 : 1;
  return b.count - a.count || (a.summary < b.summary ? -1 : Number(a.summary > b.summary));
}

function summaryOf({ principal: { deviceId, name }, action, resource }: AuthorizationRequest): string {
  const id = shortDeviceId(deviceId);
  const who = name === undefined ? id : `${shownName(name)} (${id})`;
  return `${who}: ${action} on ${entityWords(resourceUid(resource))}`;
}
