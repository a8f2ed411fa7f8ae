/** Why a condition does not hold for a request, in words; where there are none, Cedar's text and the value that it met. */
import type { CedarCall } from "./cedar-call.ts";
import { line, shownName, shownValue } from "./display.ts";
import { argumentOf, attributeOf, contextAccess, isObject, isVariable, operandsOf } from "./policy-json.ts";
import { entityLiteral, literalOf, readIn, valueIn } from "./values.ts";
import { entityWords, notIn } from "./words.ts";

/** Writes an expression as Cedar does; empty when it cannot. */
export type TextOf = (expression: unknown) => string;

export interface ClauseFailure {
  readonly words: string;
  /** Cedar's text; empty for what cannot be written. */
  readonly clause: string;
  /** What the request had, as Cedar writes it, where the clause looks at one thing. */
  readonly value?: string | undefined;
}

/** `clause` is an expression that does not hold for this call. */
export function clauseFailure(clause: unknown, call: CedarCall, textOf: TextOf): ClauseFailure {
  const text = textOf(clause);
  const met = metBy(clause, call, textOf);
  const words = knownWords(clause, call) ?? needWords(text, met);
  return { words, clause: text, value: met?.value };
}

function needWords(text: string, met: Met | undefined): string {
  if (text === "") return "a condition that cannot be shown does not hold";
  return `needs ${line(text)}${met === undefined ? "" : `; ${met.words}`}`;
}

const ABSENT: Readonly<Record<string, string>> = {
  approval: "nobody approved this call",
  arguments: "this call has no arguments",
  argumentsHash: "this call has no arguments",
  remoteAddress: "this call came from no address",
  role: "this call gives no role",
};

/** Phrases for what policies say often. */
function knownWords(clause: unknown, call: CedarCall): string | undefined {
  return (
    absenceWords(clause, call) ??
    membershipWords(clause, call) ??
    identityWords(clause, call) ??
    earlyWords(clause)
  );
}

function absenceWords(clause: unknown, call: CedarCall): string | undefined {
  const tag = operandsOf(clause, "hasTag");
  const name = tag === undefined ? undefined : literalOf(tag.right);
  if (name !== undefined && isContextAttribute(tag?.left, "arguments")) {
    return `this call has no argument ${shownName(name)}`;
  }
  const test = isObject(clause) ? clause["has"] : undefined;
  if (!isObject(test)) return undefined;
  const attribute = attributeOf(test);
  if (attribute === undefined || Array.isArray(test["attr"])) return undefined;
  if (isVariable(test["left"], "context")) return ABSENT[attribute];
  const who = subjectWords(test["left"], call);
  return who === undefined ? undefined : `${who} has no ${shownName(attribute)}`;
}

function membershipWords(clause: unknown, call: CedarCall): string | undefined {
  const sides = operandsOf(clause, "in");
  const entity = sides === undefined ? undefined : entityLiteral(sides.right);
  const who = subjectWords(sides?.left, call);
  return entity === undefined || who === undefined ? undefined : notIn(who, entity);
}

function identityWords(clause: unknown, call: CedarCall): string | undefined {
  const same = operandsOf(clause, "==");
  if (same !== undefined) {
    if (isVariable(same.left, "resource") && isVariable(same.right, "principal")) {
      return `${entityWords(call.resource)} is not the caller itself`;
    }
    const entity = entityLiteral(same.right);
    const who = subjectWords(same.left, call);
    return entity === undefined || who === undefined ? undefined : `${who} is not ${entityWords(entity)}`;
  }
  const other = operandsOf(clause, "!=");
  if (other === undefined) return undefined;
  const sides = [other.left, other.right];
  const isOwnApproval = sides.some(isApprover) && sides.some((side) => isVariable(side, "principal"));
  return isOwnApproval ? "the caller approved this call itself" : undefined;
}

function earlyWords(clause: unknown): string | undefined {
  if (isContextAttribute(clause, "isEarlyData")) return "this call did not come as early data";
  const negated = argumentOf(clause, "!");
  return isContextAttribute(negated, "isEarlyData") ? "this call came as early data" : undefined;
}

function subjectWords(expression: unknown, { resource }: CedarCall): string | undefined {
  if (isVariable(expression, "principal")) return "the caller";
  if (isVariable(expression, "resource")) return entityWords(resource);
  return isApprover(expression) ? "the approver" : undefined;
}

function isApprover(expression: unknown): boolean {
  const access = isObject(expression) ? expression["."] : undefined;
  return isObject(access) && access["attr"] === "decidedBy" && isContextAttribute(access["left"], "approval");
}

function isContextAttribute(expression: unknown, name: string): boolean {
  return isObject(expression) && "." in expression && contextAccess(expression) === name;
}

interface Met {
  readonly words: string;
  readonly value: string;
}

/** What the request had for the clause's subject; else for the first thing that the clause looks at. */
function metBy(clause: unknown, call: CedarCall, textOf: TextOf): Met | undefined {
  if (isObject(clause) && ("has" in clause || "hasTag" in clause)) return undefined;
  const subject = subjectOf(clause);
  const isLookup = isObject(subject) && !("Value" in subject) && !("Var" in subject);
  const direct = isLookup ? valueIn(subject, call) : undefined;
  if (direct !== undefined) return { words: `it is ${shownValue(direct)}`, value: shownValue(direct) };
  const read = readIn(clause, call);
  const value = read === undefined ? undefined : valueIn(read, call);
  if (value === undefined) return undefined;
  return { words: `${line(textOf(read))} is ${shownValue(value)}`, value: shownValue(value) };
}

/** Of these the left side alone says little. */
const NOT_COMPARISONS: ReadonlySet<string> = new Set(["&&", "||", "if-then-else"]);

/** The left side of a comparison, or what a method is called on. */
function subjectOf(clause: unknown): unknown {
  if (!isObject(clause)) return undefined;
  const [[operator, operands] = ["", undefined]] = Object.entries(clause);
  if (NOT_COMPARISONS.has(operator)) return undefined;
  if (Array.isArray(operands)) return operands[0];
  return isObject(operands) ? (operands["left"] ?? operands["arg"]) : undefined;
}
