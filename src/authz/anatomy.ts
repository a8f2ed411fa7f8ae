import type { PolicyJson } from "@cedar-policy/cedar-wasm/nodejs";
import type { CedarCall } from "./cedar-call.ts";
import type { CedarModule } from "./cedar-module.ts";
import { clausesOf, exceptionOf } from "./clauses.ts";
import { asPolicy, conditionText, isPortable, when } from "./condition-text.ts";
import type { PolicyFacts } from "./read-policy.ts";

/** A policy in parts, each of which can be tried by itself. */
export interface PolicyAnatomy {
  readonly facts: PolicyFacts;
  readonly scope: Readonly<Record<ScopeName, Part>>;
  /** At most 64 of them. */
  readonly clauses: readonly Clause[];
}

export type ScopeName = "principal" | "action" | "resource";

/** `part` is Cedar's JSON form: a constraint of the scope, or an expression. */
export interface Part {
  readonly part: unknown;
  readonly verdict: Verdict;
}

export interface Clause extends Part {
  /** Of a clause `!(a && b)`, a and b. */
  readonly exception: readonly Part[];
}

/** Where to look up whether a part holds: a place in the list of trials, always, or it cannot be tried by itself. */
type Verdict = number | "always" | "untried";

export interface AnatomyOptions {
  readonly policies: readonly PolicyFacts[];
  /** Under which the engine's instance has the schema. */
  readonly schemaName: string;
}

/** Which parts hold for one request. */
export interface Trial {
  /** `undefined` when that part cannot be tried by itself. A part that Cedar cannot evaluate does not hold. */
  holds(part: Part): boolean | undefined;
}

/** Policies looked at for one explanation; whoever has more wants a shorter answer, not a longer wait. */
const POLICIES_MAX = 1_000;
const CLAUSES_MAX = 64;
/** Different parts of all policies together: a third of a second, once for each set of policies. */
const TRIALS_MAX = 8_192;

const TRIALS = "trials";

/** All policies of a set in parts, which are tried together: each is a policy of its own to Cedar. */
export class Anatomy {
  readonly policies: readonly PolicyAnatomy[];
  /** Policies that were too many to be looked at. */
  readonly omitted: number;
  readonly #cedar: CedarModule;
  readonly #schemaName: string;

  constructor(cedar: CedarModule, { policies, schemaName }: AnatomyOptions) {
    this.#cedar = cedar;
    this.#schemaName = schemaName;
    const active = policies.filter(({ kind }) => kind !== "template");
    const found: PolicyAnatomy[] = [];
    const trials = new Trials();
    for (const facts of active.slice(0, POLICIES_MAX)) {
      if (trials.isFull) break;
      const answer = cedar.policyToJson(facts.text);
      if (answer.type === "success") found.push(dissected(facts, answer.json, trials));
    }
    const parsed = cedar.preparsePolicySet(TRIALS, {
      staticPolicies: Object.fromEntries(trials.policies.entries()),
    });
    this.policies = parsed.type === "success" ? found : [];
    this.omitted = active.length - this.policies.length;
  }

  /** @throws whatever a failing WebAssembly instance throws. */
  try(call: CedarCall): Trial {
    const answer = this.#cedar.statefulIsAuthorized({
      ...call,
      preparsedSchemaName: this.#schemaName,
      preparsedPolicySetId: TRIALS,
    });
    const held = new Set(answer.type === "success" ? answer.response.diagnostics.reason : []);
    return {
      holds: ({ verdict }) => {
        if (verdict === "untried") return undefined;
        return verdict === "always" || held.has(String(verdict));
      },
    };
  }

  /** An expression as Cedar writes it; empty for one that cannot go back into the engine. */
  textOf(expression: unknown): string {
    return conditionText(this.#cedar, expression);
  }
}

/** Parts as policies that permit where the part holds; the same part of several policies is tried once. */
class Trials {
  readonly policies: PolicyJson[] = [];
  readonly #places = new Map<string, number>();

  get isFull(): boolean {
    return this.policies.length >= TRIALS_MAX;
  }

  add(policy: PolicyJson): number {
    const json = JSON.stringify(policy);
    const known = this.#places.get(json);
    if (known !== undefined) return known;
    this.#places.set(json, this.policies.length);
    return this.policies.push(policy) - 1;
  }
}

function dissected(facts: PolicyFacts, json: PolicyJson, trials: Trials): PolicyAnatomy {
  const constraint = (name: ScopeName): Part => ({
    part: json[name],
    verdict: json[name].op === "All" ? "always" : trials.add(asPolicy({ [name]: json[name] })),
  });
  const expression = (part: unknown): Part => ({
    part,
    verdict: isPortable(part) ? trials.add(asPolicy({ conditions: [when(part)] })) : "untried",
  });
  const clauses = clausesOf(json.conditions).slice(0, CLAUSES_MAX);
  return {
    facts,
    scope: {
      principal: constraint("principal"),
      action: constraint("action"),
      resource: constraint("resource"),
    },
    clauses: clauses.map((part) => ({
      ...expression(part),
      exception: exceptionOf(part).slice(0, CLAUSES_MAX).map(expression),
    })),
  };
}
