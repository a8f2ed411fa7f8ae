/**
 * What strict validation lets through and yet can fail when it is evaluated, in Cedar 4.13: `+`, `-` and `*` and the minus
 * sign past 64 bits, `offset`, `durationSince` and `toDate` likewise, and reading a required attribute of an entity that
 * the request does not bring. Extension literals, optional attributes and tags are the validator's; the other operators
 * and methods cannot fail.
 */
import { INT64, intervalOf, isWithin, type Range } from "./intervals.ts";
import { attributeOf, childrenOf, isObject, isVariable } from "./policy-json.ts";

/** An expression that can fail, and how. */
export interface CanError {
  readonly expression: unknown;
  readonly reason: string;
}

/** Each is named; what is inside of one that was found is looked at too. */
export function canError(conditions: unknown, requiredAttributes: ReadonlySet<string>): readonly CanError[] {
  const found: CanError[] = [];
  const tested = testedIn(conditions);
  const visit = (node: unknown): void => {
    if (canOverflow(node)) found.push({ expression: node, reason: "can overflow" });
    const access = strayAccess(node, requiredAttributes);
    if (access !== undefined && !tested.has(access)) {
      found.push({ expression: node, reason: "fails where the request does not bring that entity" });
    }
    childrenOf(node).forEach(visit);
  };
  visit(conditions);
  return found;
}

function canOverflow(node: unknown): boolean {
  const range: Range | undefined = isObject(node) ? intervalOf(node) : undefined;
  return range !== undefined && !isWithin(range, INT64);
}

/** An attribute that every entity of some type has, read of anything but what each request brings: as text. */
function strayAccess(node: unknown, requiredAttributes: ReadonlySet<string>): string | undefined {
  const access = isObject(node) ? node["."] : undefined;
  if (!isObject(access)) return undefined;
  const attribute = attributeOf(access);
  const { left } = access;
  if (attribute === undefined || !requiredAttributes.has(attribute)) return undefined;
  const isBrought = isVariable(left, "principal") || isVariable(left, "resource");
  return isBrought || isVariable(left, "context") ? undefined : JSON.stringify({ left, attr: attribute });
}

/** What the conditions ask for with `has`, as text. */
function testedIn(conditions: unknown): ReadonlySet<string> {
  const tested = new Set<string>();
  const visit = (node: unknown): void => {
    const test = isObject(node) ? node["has"] : undefined;
    if (isObject(test)) tested.add(JSON.stringify({ left: test["left"], attr: attributeOf(test) }));
    childrenOf(node).forEach(visit);
  };
  visit(conditions);
  return tested;
}
