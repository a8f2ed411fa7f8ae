import type { PolicyAnatomy, ScopeName, Trial } from "./anatomy.ts";
import type { CedarCall } from "./cedar-call.ts";
import { clauseFailure, type TextOf } from "./clause-words.ts";
import type { PolicyFacts } from "./read-policy.ts";
import { actionWords, principalWords, resourceWords } from "./words.ts";

/** A permit that does not apply, and the first reason why. */
export interface NearPermit extends PolicyFacts {
  readonly missing: Missing;
}

/** What the policy asks for and the request does not have. */
export interface Missing {
  readonly part: ScopeName | "condition";
  /** Such as `the caller has not the role owner`. */
  readonly words: string;
  /** Of a condition: the clause that does not hold, as Cedar writes it; empty for one that cannot be written. */
  readonly clause?: string | undefined;
  /** Of a condition, where it looks at one thing: what the request had there, as Cedar writes it. */
  readonly value?: string | undefined;
}

export interface NearestOptions {
  readonly policies: readonly PolicyAnatomy[];
  readonly call: CedarCall;
  readonly trial: Trial;
  readonly textOf: TextOf;
}

const NEAREST_MAX = 5;
const SCOPE = ["principal", "action", "resource"] as const satisfies readonly ScopeName[];

/**
 * The nearest first: by how many parts of the scope fit, the action before others, then by how few clauses do not hold.
 * A permit for other actions counts only where that alone keeps it from applying, or where there is nothing else.
 */
export function nearestPermits({ policies, call, trial, textOf }: NearestOptions): readonly NearPermit[] {
  const permits = policies
    .filter(({ facts }) => facts.effect === "permit")
    .map((policy) => ({ policy, ...fitOf(policy, trial) }))
    .sort((a, b) => compare(a.distance, b.distance) || (a.policy.facts.id < b.policy.facts.id ? -1 : 1));
  const close = permits.filter(({ isFar }) => !isFar);
  return (close.length > 0 ? close : permits)
    .slice(0, NEAREST_MAX)
    .map(({ policy }) => ({ ...policy.facts, missing: missingOf(policy, { call, trial, textOf }) }));
}

interface Fit {
  /** Compared from left to right. */
  readonly distance: readonly number[];
  readonly isFar: boolean;
}

function fitOf({ scope, clauses }: PolicyAnatomy, trial: Trial): Fit {
  const fits = SCOPE.filter((name) => trial.holds(scope[name]) === true);
  const named = fits.filter((name) => scope[name].verdict !== "always");
  const unmet = clauses.filter((clause) => trial.holds(clause) !== true);
  const isForAction = fits.includes("action");
  const isOtherwiseFit = fits.length === SCOPE.length - 1 && unmet.length === 0 && named.length > 0;
  return {
    distance: [-fits.length, Number(!isForAction), unmet.length, -named.length],
    isFar: !isForAction && !isOtherwiseFit,
  };
}

function compare(a: readonly number[], b: readonly number[]): number {
  return a.map((value, index) => value - (b[index] ?? 0)).find((difference) => difference !== 0) ?? 0;
}

function missingOf(
  { scope, clauses }: PolicyAnatomy,
  { call, trial, textOf }: Omit<NearestOptions, "policies">,
): Missing {
  const part = SCOPE.find((name) => trial.holds(scope[name]) === false);
  if (part !== undefined) return { part, words: scopeWords(part, scope[part].part, call) };
  // A clause that fails hides those after it: they may lean on what it asks.
  const failed =
    clauses.find((clause) => trial.holds(clause) === false) ??
    clauses.find((clause) => trial.holds(clause) === undefined);
  if (failed === undefined) return { part: "condition", words: "one of its many conditions does not hold" };
  return { part: "condition", ...clauseFailure(failed.part, call, textOf) };
}

function scopeWords(part: ScopeName, constraint: unknown, call: CedarCall): string {
  switch (part) {
    case "principal":
      return principalWords(constraint);
    case "action":
      return actionWords(constraint, call);
    case "resource":
      return resourceWords(constraint, call);
  }
}
