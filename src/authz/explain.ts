import type { PolicyAnatomy } from "./anatomy.ts";
import { cedarCall } from "./cedar-call.ts";
import type { CedarAnswer, CedarEngine } from "./cedar-engine.ts";
import { clauseFailure } from "./clause-words.ts";
import { type Decision, judged } from "./decision.ts";
import { line } from "./display.ts";
import { type NearestOptions, type NearPermit, nearestPermits } from "./nearest.ts";
import type { PolicyFacts } from "./read-policy.ts";
import type { AuthorizationRequest } from "./request.ts";

/** A decision with its reasons. */
export interface Explanation {
  readonly decision: Decision;
  /** For people, one line each: the decision, then what is known of each policy below. Lower case, no full stop. */
  readonly words: readonly string[];
  /** Policies that decided, or that could not be evaluated; at most 64, by id. */
  readonly deciding: readonly DecidingPolicy[];
  /** Where nothing permits: permits that come nearest, the nearest first, at most 5. */
  readonly nearest: readonly NearPermit[];
  /** Policies that were too many to be looked at, past the first 1 000. */
  readonly omitted: number;
}

export interface DecidingPolicy extends PolicyFacts {
  /** Its clauses, all of which held. */
  readonly held: readonly HeldClause[];
  /** Why it could not be evaluated, as Cedar says it. */
  readonly error?: string | undefined;
}

export interface HeldClause {
  /** As Cedar writes it; empty for one that cannot be shown. */
  readonly clause: string;
  /** Of a `forbid` with an exception (`!(…)`): why it was not made, in words. */
  readonly exception?: string | undefined;
}

const DECIDING_MAX = 64;

/**
 * Decides once more, past any memo, and says why.
 *
 * @throws UnfitRequest for what has no meaning as a request, and whatever a failing WebAssembly instance throws.
 */
export function explained(engine: CedarEngine, request: AuthorizationRequest): Explanation {
  const call = cedarCall(request, engine.mentioned);
  const answer = engine.decide(call);
  const decision = judged(answer, request.action);
  if (answer.kind === "unfit") return explanationOf(decision, [line(answer.message)]);
  const anatomy = engine.anatomy();
  const details: NearestOptions = {
    call,
    trial: anatomy.try(call),
    textOf: (expression) => anatomy.textOf(expression),
    policies: anatomy.policies,
  };
  const deciding = decidingPolicies(answer, decision, engine.policies).map((policy) =>
    withHeld(policy, details),
  );
  const nearest = deciding.length > 0 ? [] : nearestPermits(details);
  return {
    decision,
    words: [decision.reason, ...deciding.flatMap(decidingWords), ...nearest.map(nearWords)],
    deciding,
    nearest,
    omitted: anatomy.omitted,
  };
}

/** A decision that no policy had part in. */
export function explanationOf(decision: Decision, words: readonly string[] = []): Explanation {
  return { decision, words: [decision.reason, ...words], deciding: [], nearest: [], omitted: 0 };
}

type Deciding = PolicyFacts & { readonly error?: string | undefined };

function decidingPolicies(
  answer: CedarAnswer & { readonly kind: "decided" },
  { policies }: Decision,
  all: readonly PolicyFacts[],
): readonly Deciding[] {
  const errors = new Map(answer.errors.map(({ policy, message }) => [policy, line(message)]));
  const ids = new Set(policies.slice(0, DECIDING_MAX));
  return all
    .filter(({ id }) => ids.has(id))
    .map((facts) => (errors.has(facts.id) ? { ...facts, error: errors.get(facts.id) } : facts));
}

function withHeld(policy: Deciding, details: NearestOptions): DecidingPolicy {
  const anatomy = policy.error === undefined ? findAnatomy(policy, details) : undefined;
  const held = (anatomy?.clauses ?? []).map(({ part, exception }) => {
    const unmade =
      policy.effect === "forbid"
        ? exception.find((inner) => details.trial.holds(inner) === false)
        : undefined;
    const clause = details.textOf(part);
    if (unmade === undefined) return { clause };
    return { clause, exception: clauseFailure(unmade.part, details.call, details.textOf).words };
  });
  return { ...policy, held };
}

function findAnatomy({ id }: PolicyFacts, { policies }: NearestOptions): PolicyAnatomy | undefined {
  return policies.find(({ facts }) => facts.id === id);
}

function decidingWords({ id, description, error, effect, held }: DecidingPolicy): readonly string[] {
  const described = description === undefined || description === "" ? [] : [`${id}: ${description}`];
  if (error !== undefined) return [...described, `${id}: ${error}`];
  const clauses = held.map(
    ({ clause, exception }) =>
      (line(clause) || "a condition that cannot be shown") +
      (exception === undefined ? "" : ` (${exception})`),
  );
  const because = clauses.length === 0 ? "whatever else the call brings" : `because ${clauses.join(" and ")}`;
  return [...described, `${id}: ${effect === "permit" ? "permits" : "forbids"} this ${because}`];
}

function nearWords({ id, missing }: NearPermit): string {
  return `${id}: ${missing.words}`;
}
