import type { DetailedError, PolicySet, ValidationError } from "@cedar-policy/cedar-wasm/nodejs";
import type { CedarModule } from "./cedar-module.ts";
import { byPolicy, type PolicyProblem } from "./policy-set.ts";

export interface Validation {
  readonly errors: readonly PolicyProblem[];
  /** What is allowed and yet hardly meant. */
  readonly warnings: readonly PolicyProblem[];
}

/** Strict validation; everything that Cedar has to say, by policy id. */
export function validatePolicies(cedar: CedarModule, schema: string, policies: PolicySet): Validation {
  const answer = cedar.validate({ schema, policies, validationSettings: { mode: "strict" } });
  if (answer.type === "failure") {
    return { errors: answer.errors.map((error) => ({ policy: "", message: sentence(error) })), warnings: [] };
  }
  return { errors: problems(answer.validationErrors), warnings: problems(answer.validationWarnings) };
}

/** In an order of their own: Cedar has none. What it says of one place, once for each kind of request, is one problem. */
function problems(errors: readonly ValidationError[]): PolicyProblem[] {
  const places = new Map<string, { readonly policy: string; readonly messages: Set<string> }>();
  for (const { policyId: policy, error } of errors) {
    const message = sentence(error);
    const [place] = error.sourceLocations ?? [];
    const key = JSON.stringify([
      policy,
      place === undefined ? message : [place.start, place.end, error.help],
    ]);
    const known = places.get(key);
    if (known === undefined) places.set(key, { policy, messages: new Set([message]) });
    else known.messages.add(message);
  }
  return [...places.values()]
    .map(({ policy, messages }) => ({ policy, message: together(messages) }))
    .sort(byPolicy);
}

function together(messages: ReadonlySet<string>): string {
  const [first = "", ...others] = [...messages].sort();
  return others.length === 0 ? first : `${first}; likewise for ${others.length} other kinds of request`;
}

/** Without the policy's id in front, which stands beside it. */
function sentence({ message, help }: DetailedError): string {
  const bare = message.replace(/^for policy `[^`]*`, /, "");
  return help === null ? bare : `${bare}; ${help}`;
}
