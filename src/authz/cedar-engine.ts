import { Anatomy } from "./anatomy.ts";
import type { CedarCall } from "./cedar-call.ts";
import { type CedarModule, freshCedar, isStackOverflow } from "./cedar-module.ts";
import { validatePolicies } from "./cedar-validation.ts";
import type { ContextAttribute } from "./context.ts";
import { cedarPolicySet, readPolicies } from "./policy-reader.ts";
import { byPolicy, invalidPolicy, type PolicyProblem, type PolicySource, refusal } from "./policy-set.ts";
import { readPolicyText } from "./policy-text.ts";
import type { PolicyFacts, ReadPolicy } from "./read-policy.ts";
import type { Steps } from "./steps.ts";

/**
 * What Cedar said: `unfit` when the request does not validate, and Cedar's reason; `errors` are policies that failed
 * to evaluate.
 */
export type CedarAnswer =
  | { readonly kind: "unfit"; readonly message: string }
  | {
      readonly kind: "decided";
      readonly isAllowed: boolean;
      readonly policies: readonly string[];
      readonly errors: readonly PolicyProblem[];
    };

const SCHEMA = "schema";
const POLICIES = "policies";

/** One schema and one set of policies, checked, in a WebAssembly instance of their own. */
export class CedarEngine {
  readonly policies: readonly PolicyFacts[];
  readonly mentioned: ReadonlySet<ContextAttribute>;
  readonly #cedar: CedarModule;
  #anatomy: Anatomy | undefined;

  private constructor(cedar: CedarModule, policies: readonly ReadPolicy[]) {
    this.#cedar = cedar;
    this.policies = policies.map(factsOf);
    this.mentioned = new Set(policies.flatMap(({ mentioned }) => mentioned));
  }

  /**
   * Parses and strictly validates; costs some 10 ms and a millisecond a policy, in turns.
   *
   * @throws GatehouseError `authz.invalid-policy`
   */
  static *opening(schema: string, sources: readonly PolicySource[]): Steps<CedarEngine> {
    const cedar = freshCedar();
    try {
      return new CedarEngine(cedar, yield* load(cedar, schema, sources));
    } catch (error) {
      if (isStackOverflow(error)) {
        throw invalidPolicy("the policies are nested too deep to be parsed", error);
      }
      throw error;
    }
  }

  /** @throws whatever a failing WebAssembly instance throws; the engine is not to be used again then. */
  decide(call: CedarCall): CedarAnswer {
    const answer = this.#cedar.statefulIsAuthorized({
      ...call,
      preparsedSchemaName: SCHEMA,
      preparsedPolicySetId: POLICIES,
      validateRequest: true,
    });
    if (answer.type === "failure") return { kind: "unfit", message: answer.errors[0]?.message ?? "" };
    const { decision, diagnostics } = answer.response;
    return {
      kind: "decided",
      isAllowed: decision === "allow",
      policies: [...diagnostics.reason].sort(),
      errors: diagnostics.errors
        .map(({ policyId, error }) => ({ policy: policyId, message: error.message }))
        .sort(byPolicy),
    };
  }

  /** The policies taken apart; made when first asked for. @throws as `decide` */
  anatomy(): Anatomy {
    this.#anatomy ??= new Anatomy(this.#cedar, { policies: this.policies, schemaName: SCHEMA });
    return this.#anatomy;
  }
}

function* load(
  cedar: CedarModule,
  schema: string,
  sources: readonly PolicySource[],
): Steps<readonly ReadPolicy[]> {
  const parsedSchema = cedar.preparseSchema(SCHEMA, schema);
  if (parsedSchema.type === "failure") {
    throw invalidPolicy(`schema: ${parsedSchema.errors[0]?.message ?? "does not parse"}`);
  }
  const { policies, problems } = yield* readPolicies(sources, (source) => readPolicyText(cedar, source));
  const [problem] = problems;
  if (problem !== undefined) throw refusal(problem);
  refuseInvalid((yield* validatePolicies(cedar, schema, policies)).errors);
  const parsed = cedar.preparsePolicySet(POLICIES, cedarPolicySet(policies));
  if (parsed.type === "failure") {
    throw invalidPolicy(parsed.errors[0]?.message ?? "the policies do not parse");
  }
  return policies;
}

function refuseInvalid([first, ...others]: readonly PolicyProblem[]): void {
  if (first === undefined) return;
  const more = others.length === 0 ? "" : ` (and ${others.length} more)`;
  throw refusal({ policy: first.policy, message: `${first.message}${more}` });
}

function factsOf({ id, effect, text, kind, description }: ReadPolicy): PolicyFacts {
  return Object.freeze({ id, effect, text, kind, description });
}
