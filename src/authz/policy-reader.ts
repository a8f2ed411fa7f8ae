import type { PolicySet as CedarPolicySet } from "@cedar-policy/cedar-wasm/nodejs";
import { LIMITS } from "../core/index.ts";
import { linkPolicy } from "./policy-link.ts";
import {
  isPolicyIdPart,
  isPolicyLink,
  type PolicyLink,
  type PolicyProblem,
  type PolicySource,
  type PolicyText,
  sourceBytes,
} from "./policy-set.ts";
import type { PolicyFacts, Reading, ReadPolicy } from "./read-policy.ts";
import type { Steps } from "./steps.ts";

/** Filled-in templates together: many links of one long template must not cost many times its length. */
const LINKED_BYTES_MAX = 4_194_304;

/** Reads all sources, what is wrong with some notwithstanding; texts first, so that links find their templates. */
export function* readPolicies(
  sources: readonly PolicySource[],
  readText: (source: PolicyText) => Steps<Reading>,
): Steps<Reading> {
  const problems: PolicyProblem[] = [...boundProblems(sources), ...sourceProblems(sources)];
  // Not even parsed, when there is too much of it.
  if (problems.some(({ policy }) => policy === "")) return { policies: [], problems };
  const policies = new Map<string, ReadPolicy>();
  const take = (reading: Reading): void => {
    problems.push(...reading.problems);
    for (const policy of reading.policies) {
      if (policies.has(policy.id)) problems.push(twice("policies", policy.id));
      else policies.set(policy.id, policy);
    }
  };
  for (const source of sources) if (!isPolicyLink(source)) take(yield* readText(source));
  let linkedBytes = 0;
  for (const source of sources) {
    if (!isPolicyLink(source)) continue;
    const reading = linkPolicy(source, policies.get(source.template));
    linkedBytes += reading.policies.reduce((sum, { text }) => sum + text.length, 0);
    if (linkedBytes > LINKED_BYTES_MAX) return { policies: [], problems: [...problems, tooMuchLinked()] };
    take(reading);
    yield;
  }
  return { policies: [...policies.values()], problems };
}

/** The set in the form that Cedar validates and decides by. */
export function cedarPolicySet(policies: readonly ReadPolicy[]): CedarPolicySet {
  const texts = (kind: PolicyFacts["kind"]): Record<string, string> =>
    Object.fromEntries(policies.filter((policy) => policy.kind === kind).map(({ id, text }) => [id, text]));
  const templateLinks = policies.flatMap(({ link }) => (link === undefined ? [] : [templateLink(link)]));
  return { staticPolicies: texts("static"), templates: texts("template"), templateLinks };
}

function templateLink({ id, template, principal, resource }: PolicyLink): {
  templateId: string;
  newId: string;
  values: Record<string, { type: string; id: string }>;
} {
  const values = {
    ...(principal === undefined ? {} : { "?principal": { type: principal.type, id: principal.id } }),
    ...(resource === undefined ? {} : { "?resource": { type: resource.type, id: resource.id } }),
  };
  return { templateId: template, newId: id, values };
}

function boundProblems(sources: readonly PolicySource[]): PolicyProblem[] {
  const sizeBytes = sources.reduce((sum, source) => sum + sourceBytes(source), 0);
  if (sizeBytes <= LIMITS.policyBytes) return [];
  const message = `policies are ${sizeBytes} bytes together, at most ${LIMITS.policyBytes} are taken`;
  return [{ policy: "", message }];
}

function sourceProblems(sources: readonly PolicySource[]): PolicyProblem[] {
  const seen = new Set<string>();
  return sources.flatMap(({ id }) => {
    if (!isPolicyIdPart(id)) {
      return [{ policy: "", message: "a policy source's id is not of [a-z0-9._-], at most 64" }];
    }
    if (seen.has(id)) return [twice("sources", id)];
    seen.add(id);
    return [];
  });
}

function twice(what: string, id: string): PolicyProblem {
  return { policy: "", message: `there are two ${what} with the id ${id}` };
}

function tooMuchLinked(): PolicyProblem {
  const message = `templates are over ${LINKED_BYTES_MAX} bytes together when all links have filled them in`;
  return { policy: "", message };
}
