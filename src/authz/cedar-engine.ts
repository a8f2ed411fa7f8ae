import type { Context, DetailedError, EntityJson, TypeAndId } from "@cedar-policy/cedar-wasm/nodejs";
import { type CedarModule, freshCedar, isStackOverflow } from "./cedar-module.ts";
import type { ContextAttribute } from "./context.ts";
import { invalidPolicy, type PolicySource, parsePolicySet } from "./policy-set.ts";

export interface CedarCall {
  readonly principal: TypeAndId;
  readonly action: TypeAndId;
  readonly resource: TypeAndId;
  readonly context: Context;
  readonly entities: EntityJson[];
}

/** What Cedar said: `unfit` when the request does not validate; `errors` are ids of policies that failed to evaluate. */
export type CedarAnswer =
  | { readonly kind: "unfit" }
  | {
      readonly kind: "decided";
      readonly isAllowed: boolean;
      readonly policies: readonly string[];
      readonly errors: readonly string[];
    };

const SCHEMA = "schema";
const POLICIES = "policies";

/** One schema and one set of policies, checked, in a WebAssembly instance of their own. */
export class CedarEngine {
  readonly mentioned: ReadonlySet<ContextAttribute>;
  readonly #cedar: CedarModule;

  /**
   * Parses and strictly validates; costs some 10 ms and a millisecond a policy.
   *
   * @throws GatehouseError `authz.invalid-policy`
   */
  constructor(schema: string, sources: readonly PolicySource[]) {
    this.#cedar = freshCedar();
    try {
      this.mentioned = load(this.#cedar, schema, sources);
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
    if (answer.type === "failure") return { kind: "unfit" };
    const { decision, diagnostics } = answer.response;
    return {
      kind: "decided",
      isAllowed: decision === "allow",
      policies: [...diagnostics.reason].sort(),
      errors: diagnostics.errors.map(({ policyId }) => policyId).sort(),
    };
  }
}

function load(
  cedar: CedarModule,
  schema: string,
  sources: readonly PolicySource[],
): ReadonlySet<ContextAttribute> {
  const parsedSchema = cedar.preparseSchema(SCHEMA, schema);
  if (parsedSchema.type === "failure") {
    throw invalidPolicy(`schema: ${parsedSchema.errors[0]?.message ?? "does not parse"}`);
  }
  const { policies, mentioned } = parsePolicySet(cedar, sources);
  const staticPolicies = { ...policies };
  const answer = cedar.validate({
    schema,
    policies: { staticPolicies },
    validationSettings: { mode: "strict" },
  });
  if (answer.type === "failure") {
    throw invalidPolicy(answer.errors[0]?.message ?? "the policies do not validate");
  }
  const [first, ...others] = answer.validationErrors;
  if (first !== undefined) {
    const more = others.length === 0 ? "" : ` (and ${others.length} more)`;
    throw invalidPolicy(`${first.policyId}: ${sentence(first.error)}${more}`);
  }
  const parsed = cedar.preparsePolicySet(POLICIES, { staticPolicies });
  if (parsed.type === "failure")
    throw invalidPolicy(parsed.errors[0]?.message ?? "the policies do not parse");
  return mentioned;
}

function sentence({ message, help }: DetailedError): string {
  return help === null ? message : `${message}; ${help}`;
}
