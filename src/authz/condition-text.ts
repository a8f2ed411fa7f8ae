/** Parts of policies as policies of their own, and as text. */
import type { Clause as Condition, Expr, PolicyJson } from "@cedar-policy/cedar-wasm/nodejs";
import type { CedarModule } from "./cedar-module.ts";
import { childrenOf, depthOf, isObject } from "./policy-json.ts";

const ANY = { op: "All" } as const;
/** How Cedar writes a policy that is one condition. */
const CONDITION = /^permit\(principal, action, resource\) when \{ (.*) \};$/s;

/** JSON takes the engine more of its stack than text does: two thirds of what overflows it. */
const DEPTH_MAX = 32;

/**
 * Whether an expression of Cedar's JSON form can go back into the engine. Not when it is nested deep, and not with numbers
 * past 2^53, which lose their last digits on the way out.
 */
export function isPortable(expression: unknown): boolean {
  return depthOf(expression) <= DEPTH_MAX && isExact(expression);
}

/** A permit of everything but for these parts. */
export function asPolicy(parts: Partial<PolicyJson>): PolicyJson {
  return { effect: "permit", principal: ANY, action: ANY, resource: ANY, conditions: [], ...parts };
}

export function when(expression: unknown): Condition {
  return { kind: "when", body: isExpression(expression) ? expression : { Value: false } };
}

/** An expression as Cedar writes it; empty for one that cannot go back into the engine. */
export function conditionText(cedar: CedarModule, expression: unknown): string {
  if (!isPortable(expression)) return "";
  const answer = cedar.policyToText(asPolicy({ conditions: [when(expression)] }));
  return answer.type === "success" ? (CONDITION.exec(answer.text)?.[1] ?? "") : "";
}

/** What was read out of one of Cedar's policies goes back into another. */
function isExpression(node: unknown): node is Expr {
  return isObject(node);
}

function isExact(node: unknown): boolean {
  if (typeof node === "number") return Number.isSafeInteger(node);
  return childrenOf(node).every(isExact);
}
