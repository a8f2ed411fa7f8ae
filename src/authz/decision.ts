import type { CedarAnswer } from "./cedar-engine.ts";

/** The answer to one request. */
export interface Decision {
  readonly kind: "allow" | "deny";
  /** Ids (`source/policy`) of the policies that decided; empty when none spoke. */
  readonly policies: readonly string[];
  /** One sentence that is safe to show to the caller. */
  readonly reason: string;
  readonly isMemoised: boolean;
}

/** What Cedar's answer comes to. */
export function judged(answer: CedarAnswer, action: string): Decision {
  if (answer.kind === "unfit") return unfit();
  // Cedar skips a policy that errors, so a `forbid` that errors would allow.
  if (answer.errors.length > 0) return unevaluated(answer.errors.map(({ policy }) => policy));
  if (answer.isAllowed) return allowedBy(answer.policies);
  return answer.policies.length > 0 ? forbiddenBy(answer.policies) : unpermitted(action);
}

export function unfit(): Decision {
  return decision("deny", [], "denied because the request does not fit the policy schema");
}

export function engineFailed(): Decision {
  return decision("deny", [], "denied because the policy engine failed");
}

function allowedBy(policies: readonly string[]): Decision {
  return decision("allow", policies, `allowed by ${named(policies)}`);
}

function forbiddenBy(policies: readonly string[]): Decision {
  return decision("deny", policies, `forbidden by ${named(policies)}`);
}

function unevaluated(policies: readonly string[]): Decision {
  return decision("deny", policies, `denied because ${named(policies)} could not be evaluated`);
}

function unpermitted(action: string): Decision {
  return decision("deny", [], `no policy permits ${action} here`);
}

function decision(kind: Decision["kind"], policies: readonly string[], reason: string): Decision {
  return Object.freeze({ kind, policies: Object.freeze([...policies]), reason, isMemoised: false });
}

/** A set may hold hundreds of policies that agree; a sentence names three. */
function named(policies: readonly string[]): string {
  const rest = policies.length - 3;
  return policies.slice(0, 3).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}
