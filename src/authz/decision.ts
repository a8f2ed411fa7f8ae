/** The answer to one request. */
export interface Decision {
  readonly kind: "allow" | "deny";
  /** Ids (`source/policy`) of the policies that decided; empty when none spoke. */
  readonly policies: readonly string[];
  /** One sentence that is safe to show to the caller. */
  readonly reason: string;
  readonly isMemoised: boolean;
}

export function allowedBy(policies: readonly string[]): Decision {
  return decision("allow", policies, `allowed by ${named(policies)}`);
}

export function forbiddenBy(policies: readonly string[]): Decision {
  return decision("deny", policies, `forbidden by ${named(policies)}`);
}

export function unevaluated(policies: readonly string[]): Decision {
  return decision("deny", policies, `denied because ${named(policies)} could not be evaluated`);
}

export function unpermitted(action: string): Decision {
  return decision("deny", [], `no policy permits ${action} here`);
}

export function unfit(): Decision {
  return decision("deny", [], "denied because the request does not fit the policy schema");
}

export function engineFailed(): Decision {
  return decision("deny", [], "denied because the policy engine failed");
}

function decision(kind: Decision["kind"], policies: readonly string[], reason: string): Decision {
  return Object.freeze({ kind, policies: Object.freeze([...policies]), reason, isMemoised: false });
}

/** A set may hold hundreds of policies that agree; a sentence names three. */
function named(policies: readonly string[]): string {
  const rest = policies.length - 3;
  return policies.slice(0, 3).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}
