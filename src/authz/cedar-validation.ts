import type { DetailedError, PolicySet, ValidationError } from "@cedar-policy/cedar-wasm/nodejs";
import type { CedarModule } from "./cedar-module.ts";
import { cedarPolicySet } from "./policy-reader.ts";
import { byPolicy, type PolicyProblem } from "./policy-set.ts";
import type { ReadPolicy } from "./read-policy.ts";
import type { Steps } from "./steps.ts";

export interface Validation {
  readonly errors: readonly PolicyProblem[];
  /** What is allowed and yet hardly meant. */
  readonly warnings: readonly PolicyProblem[];
}

/** Checked in one go, in bytes: a policy is checked by itself, whatever stands beside it. */
const SLICE_BYTES = 4_096;

/** Strict validation; everything that Cedar has to say, by policy id. */
export function* validatePolicies(
  cedar: CedarModule,
  schema: string,
  policies: readonly ReadPolicy[],
): Steps<Validation> {
  const errors: PolicyProblem[] = [];
  const warnings: PolicyProblem[] = [];
  for (const slice of slicesOf(policies)) {
    const found = validate(cedar, schema, cedarPolicySet(slice));
    errors.push(...found.errors);
    warnings.push(...found.warnings);
    yield;
  }
  return { errors: once(errors), warnings: once(warnings) };
}

/** By policy; what is said of a template with several of its links beside it, once. */
function once(found: readonly PolicyProblem[]): PolicyProblem[] {
  const distinct = new Map(
    found.map((problem) => [JSON.stringify([problem.policy, problem.message]), problem]),
  );
  return [...distinct.values()].sort(byPolicy);
}

/** In order; a link has its template beside it. At least one, so that a schema is checked by itself too. */
function slicesOf(policies: readonly ReadPolicy[]): readonly (readonly ReadPolicy[])[] {
  const templates = new Map(
    policies.filter(({ kind }) => kind === "template").map((each) => [each.id, each]),
  );
  const slices: ReadPolicy[][] = [];
  let slice = new Set<ReadPolicy>();
  let sizeBytes = 0;
  for (const policy of policies) {
    const template = policy.link === undefined ? undefined : templates.get(policy.link.template);
    const added = [...(template === undefined ? [] : [template]), policy].filter((each) => !slice.has(each));
    for (const each of added) slice.add(each);
    sizeBytes += added.reduce((sum, { text }) => sum + text.length, 0);
    if (sizeBytes < SLICE_BYTES) continue;
    slices.push([...slice]);
    [slice, sizeBytes] = [new Set(), 0];
  }
  return slice.size > 0 || slices.length === 0 ? [...slices, [...slice]] : slices;
}

function validate(cedar: CedarModule, schema: string, policies: PolicySet): Validation {
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
