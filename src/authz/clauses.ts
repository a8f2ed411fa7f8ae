/**
 * Conditions taken apart: a policy applies where every clause holds, tried from left to right. `when { a && b }` has two
 * clauses, and so has `unless { a || b }`: not a, not b.
 */
import type { Clause as Condition } from "@cedar-policy/cedar-wasm/nodejs";
import { argumentOf, operandsOf } from "./policy-json.ts";

/** Comparisons that say the opposite of another one, of whatever can be compared at all. */
const OPPOSITES: Readonly<Record<string, string>> = {
  "==": "!=",
  "!=": "==",
  "<": ">=",
  ">=": "<",
  ">": "<=",
  "<=": ">",
};

/** Clauses as expressions of Cedar's JSON form, each of which must hold. */
export function clausesOf(conditions: readonly Condition[]): readonly unknown[] {
  return conditions.flatMap(({ kind, body }) => conjuncts(kind === "when" ? body : { "!": { arg: body } }));
}

/** What must all hold, when the clause is an exception from it (`!(a && b)`), for the exception to be made. */
export function exceptionOf(clause: unknown): readonly unknown[] {
  const inner = argumentOf(clause, "!");
  return inner === undefined ? [] : conjuncts(inner);
}

function conjuncts(expression: unknown): readonly unknown[] {
  const both = operandsOf(expression, "&&");
  if (both !== undefined) return [...conjuncts(both.left), ...conjuncts(both.right)];
  const negated = argumentOf(expression, "!");
  if (negated === undefined) return [expression];
  const twice = argumentOf(negated, "!");
  if (twice !== undefined) return conjuncts(twice);
  const either = operandsOf(negated, "||");
  if (either !== undefined) return [not(either.left), not(either.right)].flatMap(conjuncts);
  return [opposite(negated) ?? expression];
}

function not(expression: unknown): unknown {
  return { "!": { arg: expression } };
}

function opposite(expression: unknown): unknown {
  for (const [operator, reverse] of Object.entries(OPPOSITES)) {
    const operands = operandsOf(expression, operator);
    if (operands !== undefined) return { [reverse]: operands };
  }
  return undefined;
}
