import { LIMITS, type Logger, silentLogger } from "../core/index.ts";
import { cedarCall } from "./cedar-call.ts";
import { CedarEngine } from "./cedar-engine.ts";
import type { ContextAttribute } from "./context.ts";
import { type Decision, engineFailed, judged, unfit } from "./decision.ts";
import { type Explanation, explained, explanationOf } from "./explain.ts";
import { DecisionMemo } from "./memo.ts";
import { bareSource, type PolicySource } from "./policy-set.ts";
import type { PolicyFacts } from "./read-policy.ts";
import { type AuthorizationRequest, UnfitRequest } from "./request.ts";
import { atOnce, inTurns, type Steps } from "./steps.ts";

export interface AuthorizerOptions {
  /** Text of the Cedar schema. */
  readonly schema: string;
  readonly policies: readonly PolicySource[];
  readonly logger?: Logger;
}

/** A set of policies in force, its engine and what it has decided so far: they come and go together. */
interface InForce {
  readonly sources: readonly PolicySource[];
  readonly engine: CedarEngine;
  readonly memo: DecisionMemo;
}

/**
 * Decides by Cedar policies. Whatever is not permitted is denied; so is what a policy forbids, what a policy
 * could not be evaluated for, what does not fit the schema, and everything while the engine fails.
 */
export class Authorizer {
  readonly #schema: string;
  readonly #logger: Logger;
  #inForce: InForce;

  private constructor(schema: string, inForce: InForce, logger: Logger) {
    this.#schema = schema;
    this.#inForce = inForce;
    this.#logger = logger;
  }

  /** @throws GatehouseError `authz.invalid-policy` when the schema or the policies do not validate strictly. */
  static async open({ schema, policies, logger = silentLogger }: AuthorizerOptions): Promise<Authorizer> {
    return new Authorizer(schema, await inTurns(enforcing(schema, policies)), logger);
  }

  /**
   * Another one by the same schema, for policies that may come into force; takes some 10 ms and a millisecond a policy,
   * in which others have their turns.
   *
   * @throws GatehouseError `authz.invalid-policy`
   */
  async candidate(policies: readonly PolicySource[]): Promise<Authorizer> {
    return new Authorizer(this.#schema, await inTurns(enforcing(this.#schema, policies)), this.#logger);
  }

  /** Puts a candidate's policies in force, as one step. */
  replace(candidate: Authorizer): void {
    this.#inForce = candidate.#inForce;
    this.#logger.info("policies-replaced", { sources: this.#inForce.sources.length });
  }

  /** Never throws: what goes wrong is a denial. */
  decide(request: AuthorizationRequest): Decision {
    const { memo } = this.#inForce;
    try {
      const key = memo.keyOf(request);
      const known = memo.find(key);
      if (known !== undefined) return known;
      const decision = this.#evaluate(request);
      memo.remember(key, decision);
      return decision;
    } catch (error) {
      if (error instanceof UnfitRequest) return unfit();
      this.#recover(error);
      return engineFailed();
    }
  }

  /**
   * What would be decided, and why: past the memo, a few milliseconds, and the first time after a change of policies a
   * tenth of a millisecond for each part of theirs. Never throws.
   */
  explain(request: AuthorizationRequest): Explanation {
    try {
      return explained(this.#inForce.engine, request);
    } catch (error) {
      if (error instanceof UnfitRequest) return explanationOf(unfit(), [error.message]);
      this.#recover(error);
      return explanationOf(engineFailed());
    }
  }

  /** The set in force, in the order of its sources; links last. */
  policies(): readonly PolicyFacts[] {
    return this.#inForce.engine.policies;
  }

  /** Whether a decision can depend on that part of the context. */
  mentions(attribute: ContextAttribute): boolean {
    return this.#inForce.engine.mentioned.has(attribute);
  }

  #evaluate(request: AuthorizationRequest): Decision {
    const { engine } = this.#inForce;
    const answer = engine.decide(cedarCall(request, engine.mentioned));
    if (answer.kind === "decided" && answer.errors.length > 0) {
      const policies = answer.errors.map(({ policy }) => policy).join(" ");
      this.#logger.warn("policy-error", { action: request.action, policies });
    }
    return judged(answer, request.action);
  }

  /** A WebAssembly instance that trapped is lost; the same policies go on in a new one. */
  #recover(error: unknown): void {
    this.#logger.error("policy-engine-failed", { error: error instanceof Error ? error.message : "unknown" });
    try {
      this.#inForce = atOnce(enforcing(this.#schema, this.#inForce.sources));
    } catch {
      this.#logger.error("policy-engine-lost");
    }
  }
}

function* enforcing(schema: string, policies: readonly PolicySource[]): Steps<InForce> {
  const sources = policies.map(bareSource);
  const engine = yield* CedarEngine.opening(schema, sources);
  return { sources, engine, memo: new DecisionMemo(LIMITS.decisionMemoEntries, engine.mentioned) };
}
