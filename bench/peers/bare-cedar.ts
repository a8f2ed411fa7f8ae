/**
 * Cedar's own WebAssembly build without us, as somebody has it who uses it with care: requests validated against the
 * schema, a policy that could not be evaluated denies, and the deciding policies named in one order.
 *
 * The calls come ready-made, built before the time starts by our own builder and no larger than these policies need (only
 * the context that they mention, folders above a path as outright parents): the peers have nothing to do but decide.
 */
import { createRequire } from "node:module";
import type * as Cedar from "@cedar-policy/cedar-wasm/nodejs";
import type { CedarCall } from "../../src/authz/cedar-call.ts";

export interface BareAnswer {
  readonly kind: "allow" | "deny";
  readonly policies: readonly string[];
}

export type BareDecide = (call: CedarCall) => BareAnswer;

export interface BareSet {
  /** Text of the schema. */
  readonly schema: string;
  readonly policies: Cedar.PolicySet;
}

/** In an instance that no authorizer of ours uses. */
const cedar = createRequire(import.meta.url)("@cedar-policy/cedar-wasm/nodejs") as typeof Cedar;

let sets = 0;

/** Schema and policies parsed once; they stay in the instance. */
export function statefulCedar({ schema, policies }: BareSet): BareDecide {
  const name = `bench-${sets++}`;
  mustParse(cedar.preparseSchema(name, schema));
  mustParse(cedar.preparsePolicySet(name, policies));
  return (call) =>
    answerOf(
      cedar.statefulIsAuthorized({
        ...call,
        preparsedSchemaName: name,
        preparsedPolicySetId: name,
        validateRequest: true,
      }),
    );
}

/** Schema and policies as text with every call. */
export function statelessCedar({ schema, policies }: BareSet): BareDecide {
  return (call) => answerOf(cedar.isAuthorized({ ...call, schema, policies, validateRequest: true }));
}

function answerOf(answer: Cedar.AuthorizationAnswer): BareAnswer {
  if (answer.type === "failure") throw new Error(`cedar: ${answer.errors[0]?.message ?? "failed"}`);
  const { decision, diagnostics } = answer.response;
  const isAllowed = decision === "allow" && diagnostics.errors.length === 0;
  return { kind: isAllowed ? "allow" : "deny", policies: [...diagnostics.reason].sort() };
}

function mustParse(answer: Cedar.CheckParseAnswer): void {
  if (answer.type === "failure") throw new Error(`cedar: ${answer.errors[0]?.message ?? "does not parse"}`);
}
