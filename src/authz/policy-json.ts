/** Looking through Cedar's JSON form of policies and expressions, each node one object with its operator as the only key. */
import type { PolicyJson } from "@cedar-policy/cedar-wasm/nodejs";
import { CONTEXT_ATTRIBUTES, type ContextAttribute } from "./context.ts";

export interface Operands {
  readonly left: unknown;
  readonly right: unknown;
}

/** Nesting of operators: each is one object holding one of operands. */
export function depthOf(node: unknown): number {
  let depth = 0;
  for (let level = childrenOf(node); level.length > 0; level = level.flatMap(childrenOf)) depth += 1;
  return depth / 2;
}

/**
 * Which context attributes the conditions can see. `context.x` and `context has x` see that one; the context
 * taken whole, in any other place, could see all of it.
 */
export function contextMentions({ conditions }: PolicyJson): readonly ContextAttribute[] {
  const found = new Set<string>();
  let sees = false;
  const visit = (node: unknown): void => {
    const access = contextAccess(node);
    if (access !== undefined) found.add(access);
    else if (isVariable(node, "context")) sees = true;
    else childrenOf(node).forEach(visit);
  };
  visit(conditions);
  return CONTEXT_ATTRIBUTES.filter((attribute) => sees || found.has(attribute));
}

/** The context attribute that this node is an access to or a test for. */
export function contextAccess(node: unknown): string | undefined {
  if (!isObject(node)) return undefined;
  const access = node["."] ?? node["has"];
  if (!isObject(access) || !isVariable(access["left"], "context")) return undefined;
  return attributeOf(access);
}

/** The attribute of an access or a test; of `has a.b`, which comes as a list, the first. */
export function attributeOf({ attr }: Readonly<Record<string, unknown>>): string | undefined {
  const first: unknown = Array.isArray(attr) ? attr[0] : attr;
  return typeof first === "string" ? first : undefined;
}

/** Both sides, when the node is that operator. */
export function operandsOf(node: unknown, operator: string): Operands | undefined {
  const found = isObject(node) ? node[operator] : undefined;
  return isObject(found) && "right" in found ? { left: found["left"], right: found["right"] } : undefined;
}

/** What `!` or `neg` stands before. */
export function argumentOf(node: unknown, operator: "!" | "neg"): unknown {
  const found = isObject(node) ? node[operator] : undefined;
  return isObject(found) ? found["arg"] : undefined;
}

export function isVariable(node: unknown, name: string): boolean {
  return isObject(node) && node["Var"] === name;
}

export function childrenOf(node: unknown): unknown[] {
  return isObject(node) || Array.isArray(node) ? Object.values(node) : [];
}

export function isObject(node: unknown): node is Readonly<Record<string, unknown>> {
  return typeof node === "object" && node !== null && !Array.isArray(node);
}
