import { LIMITS, type Logger, silentLogger } from "../core/index.ts";
import { type CedarAnswer, CedarEngine } from "./cedar-engine.ts";
import { cedarContext } from "./context.ts";
import * as decisions from "./decision.ts";
import { deviceUid, requestEntities, resourceUid } from "./entities.ts";
import { DecisionMemo } from "./memo.ts";
import type { PolicySource } from "./policy-set.ts";
import { type AuthorizationRequest, UnfitRequest } from "./request.ts";

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
    return new Authorizer(schema, enforce(schema, policies), logger);
  }

  /**
   * Puts another set of policies in force, as one step; takes some 10 ms and a millisecond a policy.
   *
   * @throws GatehouseError `authz.invalid-policy`; the old set then stays in force.
   */
  replace(policies: readonly PolicySource[]): void {
    this.#inForce = enforce(this.#schema, policies);
    this.#logger.info("policies-replaced", { sources: policies.length });
  }

  /** Never throws: what goes wrong is a denial. */
  decide(request: AuthorizationRequest): decisions.Decision {
    const { memo } = this.#inForce;
    try {
      const key = memo.keyOf(request);
      const known = memo.find(key);
      if (known !== undefined) return known;
      const decision = this.#evaluate(request);
      memo.remember(key, decision);
      return decision;
    } catch (error) {
      if (error instanceof UnfitRequest) return decisions.unfit();
      this.#recover(error);
      return decisions.engineFailed();
    }
  }

  #evaluate(request: AuthorizationRequest): decisions.Decision {
    const { principal, action, resource, context } = request;
    const { engine } = this.#inForce;
    const answer = engine.decide({
      principal: deviceUid(principal.deviceId),
      action: { type: "Action", id: action },
      resource: resourceUid(resource),
      context: cedarContext(context, engine.mentioned),
      entities: requestEntities(principal, resource),
    });
    if (answer.kind === "decided" && answer.errors.length > 0) {
      this.#logger.warn("policy-error", { action, policies: answer.errors.join(" ") });
    }
    return judge(answer, action);
  }

  /** A WebAssembly instance that trapped is lost; the same policies go on in a new one. */
  #recover(error: unknown): void {
    this.#logger.error("policy-engine-failed", { error: error instanceof Error ? error.message : "unknown" });
    try {
      this.#inForce = enforce(this.#schema, this.#inForce.sources);
    } catch {
      this.#logger.error("policy-engine-lost");
    }
  }
}

function enforce(schema: string, policies: readonly PolicySource[]): InForce {
  const sources = policies.map(({ id, text }) => ({ id, text }));
  const engine = new CedarEngine(schema, sources);
  return { sources, engine, memo: new DecisionMemo(LIMITS.decisionMemoEntries, engine.mentioned) };
}

function judge(answer: CedarAnswer, action: string): decisions.Decision {
  if (answer.kind === "unfit") return decisions.unfit();
  // Cedar skips a policy that errors, so a `forbid` that errors would allow.
  if (answer.errors.length > 0) return decisions.unevaluated(answer.errors);
  if (answer.isAllowed) return decisions.allowedBy(answer.policies);
  return answer.policies.length > 0 ? decisions.forbiddenBy(answer.policies) : decisions.unpermitted(action);
}
