import type { PolicyJson, PolicyToJsonAnswer } from "@cedar-policy/cedar-wasm/nodejs";
import { LIMITS } from "../core/index.ts";
import type { CedarModule } from "./cedar-module.ts";
import { line } from "./display.ts";
import { contextMentions, depthOf, isObject } from "./policy-json.ts";
import { isPolicyIdPart, type PolicyProblem, type PolicyText } from "./policy-set.ts";
import type { Reading, ReadPolicy, Slot } from "./read-policy.ts";
import type { Steps } from "./steps.ts";

/**
 * Nodes one inside another in a policy. The engine runs on a WebAssembly stack that a policy nested much deeper
 * overflows, which would deny every call; 96 leaves it half of that stack.
 */
const DEPTH_MAX = 96;

/** The policies and templates of one source. Throws what the engine throws for text nested far too deep. */
export function* readPolicyText(cedar: CedarModule, { id, text }: PolicyText): Steps<Reading> {
  const parts = cedar.policySetTextToParts(text);
  if (parts.type === "failure") {
    return { policies: [], problems: parts.errors.map(({ message }) => ({ policy: id, message })) };
  }
  const siblings = parts.policies.length + parts.policy_templates.length;
  const policies: ReadPolicy[] = [];
  const problems: PolicyProblem[] = [];
  const read = (part: string, kind: "static" | "template"): void => {
    const found = isTooLong(part) ? tooLong() : readPart(cedar, { source: id, siblings, part, kind });
    if (typeof found === "string") problems.push({ policy: id, message: found });
    else policies.push(found);
  };
  for (const part of parts.policies) {
    read(part, "static");
    yield;
  }
  for (const part of parts.policy_templates) {
    read(part, "template");
    yield;
  }
  return { policies, problems };
}

interface Part {
  readonly source: string;
  /** Policies and templates in that source, this one counted. */
  readonly siblings: number;
  readonly part: string;
  readonly kind: "static" | "template";
}

/** Of itself, not of the comments before it; nothing reads or checks one by halves. */
function isTooLong(part: string): boolean {
  return Buffer.byteLength(part) > LIMITS.policyTextBytes;
}

function tooLong(): string {
  return `a policy is over ${LIMITS.policyTextBytes} bytes; write several`;
}

/** Answers what is wrong with it, if something is. */
function readPart(cedar: CedarModule, { source, siblings, part, kind }: Part): ReadPolicy | string {
  const answer: PolicyToJsonAnswer =
    kind === "static" ? cedar.policyToJson(part) : cedar.templateToJson(part);
  if (answer.type === "failure") return answer.errors[0]?.message ?? "does not parse";
  const { json } = answer;
  if (depthOf(json.conditions) > DEPTH_MAX) return "a condition is nested too deep";
  const { id: own, description } = json.annotations ?? {};
  if (own === undefined && kind === "template") return "a template needs an @id, for links to name it by";
  if (own === undefined && siblings > 1) return "has several policies, so each needs an @id";
  if (own !== undefined && !isPolicyIdPart(own)) return "an @id is not of [a-z0-9._-], at most 64";
  return {
    id: own === undefined ? source : `${source}/${own}`,
    effect: json.effect,
    text: part,
    kind,
    description: description === undefined ? undefined : line(description),
    mentioned: contextMentions(json),
    slots: slotsOf(json),
  };
}

function slotsOf({ principal, resource }: PolicyJson): readonly Slot[] {
  return [
    ...(hasSlot(principal) ? (["?principal"] as const) : []),
    ...(hasSlot(resource) ? (["?resource"] as const) : []),
  ];
}

/** `== ?slot`, `in ?slot` or `is T in ?slot`. */
function hasSlot(constraint: unknown): boolean {
  if (!isObject(constraint)) return false;
  return "slot" in constraint || hasSlot(constraint["in"]);
}
