import { canError } from "./can-error.ts";
import { type CedarModule, freshCedar, isStackOverflow } from "./cedar-module.ts";
import { type Validation, validatePolicies } from "./cedar-validation.ts";
import { conditionText } from "./condition-text.ts";
import { line } from "./display.ts";
import { isObject } from "./policy-json.ts";
import { readPolicies } from "./policy-reader.ts";
import {
  byPolicy,
  invalidPolicy,
  type PolicyProblem,
  type PolicySource,
  type PolicyText,
} from "./policy-set.ts";
import { readPolicyText } from "./policy-text.ts";
import type { PolicyFacts, Reading } from "./read-policy.ts";
import { inTurns, type Steps } from "./steps.ts";

/** Something to tell whoever wrote the policies. */
export interface PolicyFinding {
  /**
   * - `invalid`: does not parse, or not fit the schema; the set would not be loaded.
   * - `can-error`: can fail to be evaluated, which denies the call that it was asked about.
   * - `impossible`: applies to no request there can be.
   * - `misleading`: has characters that make it read as something else.
   * - `never-matched`: had part in none of the decisions that were given.
   */
  readonly kind: (typeof KINDS)[number];
  /** Id of the policy, or of the source where it has none yet; empty for the set as a whole. */
  readonly policy: string;
  /** Lower case, no full stop. */
  readonly message: string;
}

export interface CheckOptions {
  /** Text of the Cedar schema. */
  readonly schema: string;
  readonly sources: readonly PolicySource[];
  /** Ids of policies that decided something lately; without it, `never-matched` is not looked for. */
  readonly matched?: Iterable<string> | undefined;
}

/** The gravest first. */
const KINDS = ["invalid", "can-error", "impossible", "misleading", "never-matched"] as const;
/** More would be read by nobody, and one set may be wrong in thousands of places. */
const FINDINGS_MAX = 1_000;

/**
 * All that is wrong or doubtful with a set of policies, by gravity and then by policy; at most 1 000 findings.
 *
 * @throws GatehouseError `authz.invalid-policy` when the schema does not parse.
 */
export async function checkPolicies({
  schema,
  sources,
  matched,
}: CheckOptions): Promise<readonly PolicyFinding[]> {
  return await inTurns(checking({ schema, sources, matched }));
}

function* checking({ schema, sources, matched }: CheckOptions): Steps<readonly PolicyFinding[]> {
  const workbench = new Workbench();
  const required = workbench.try((cedar) => requiredAttributes(cedar, schema), new Set<string>());
  const { policies, problems } = yield* readPolicies(sources, (source) => readOn(workbench, source));
  const { errors, warnings } = yield* workbench.steps(
    (cedar) => validatePolicies(cedar, schema, policies),
    UNCHECKED,
  );
  const invalid = new Set(errors.map(({ policy }) => policy));
  const sound = policies.filter(({ id }) => !invalid.has(id));
  const found: readonly PolicyFinding[] = [
    ...[...problems, ...errors].map((problem) => finding("invalid", problem)),
    ...(yield* canErrorOf(workbench, sound, required)),
    ...warnings.map((warning) => finding(warningKind(warning), warning)),
    ...(matched === undefined ? [] : neverMatched(sound, new Set(matched))),
  ];
  return inOrder(found).slice(0, FINDINGS_MAX);
}

const UNCHECKED: Validation = {
  errors: [{ policy: "", message: "the policies are nested too deep to be checked" }],
  warnings: [],
};

/** An instance to work on; text nested far too deep costs it, and the work goes on with a new one. */
class Workbench {
  #cedar = freshCedar();

  try<Result>(work: (cedar: CedarModule) => Result, otherwise: Result): Result {
    try {
      return work(this.#cedar);
    } catch (error) {
      if (!isStackOverflow(error)) throw error;
      this.#cedar = freshCedar();
      return otherwise;
    }
  }

  *steps<Result>(work: (cedar: CedarModule) => Steps<Result>, otherwise: Result): Steps<Result> {
    try {
      return yield* work(this.#cedar);
    } catch (error) {
      if (!isStackOverflow(error)) throw error;
      this.#cedar = freshCedar();
      return otherwise;
    }
  }
}

function* canErrorOf(
  workbench: Workbench,
  policies: readonly PolicyFacts[],
  required: ReadonlySet<string>,
): Steps<readonly PolicyFinding[]> {
  const found: PolicyFinding[] = [];
  for (const policy of policies) {
    found.push(...workbench.try((cedar) => canErrorFindings(cedar, policy, required), []));
    yield;
  }
  return found;
}

function readOn(workbench: Workbench, source: PolicyText): Steps<Reading> {
  return workbench.steps((cedar) => readPolicyText(cedar, source), {
    policies: [],
    problems: [{ policy: source.id, message: "nested too deep to be parsed" }],
  });
}

function finding(kind: PolicyFinding["kind"], { policy, message }: PolicyProblem): PolicyFinding {
  return { kind, policy, message: line(message) };
}

/** Links share their template's conditions. */
function canErrorFindings(
  cedar: CedarModule,
  { id, kind, text }: PolicyFacts,
  required: ReadonlySet<string>,
): readonly PolicyFinding[] {
  if (kind === "link") return [];
  const answer = kind === "static" ? cedar.policyToJson(text) : cedar.templateToJson(text);
  if (answer.type === "failure") return [];
  return canError(answer.json.conditions, required).map(({ expression, reason }) => {
    const what = conditionText(cedar, expression);
    return finding("can-error", { policy: id, message: `${what === "" ? "an expression" : what} ${reason}` });
  });
}

/** What Cedar warns of: scopes and conditions that nothing fits, and text that is not what it looks like. */
function warningKind({ message }: PolicyProblem): PolicyFinding["kind"] {
  return /impossible|unable to find an applicable action/.test(message) ? "impossible" : "misleading";
}

function neverMatched(
  policies: readonly PolicyFacts[],
  matched: ReadonlySet<string>,
): readonly PolicyFinding[] {
  return policies
    .filter(({ id, kind }) => kind !== "template" && !matched.has(id))
    .map(({ id, effect }) => {
      const message = `${effect === "permit" ? "has permitted" : "has forbidden"} nothing that was asked lately`;
      return { kind: "never-matched", policy: id, message };
    });
}

/** Attributes that every entity of some type has: reading one is not guarded, and fails without the entity. */
function requiredAttributes(cedar: CedarModule, schema: string): ReadonlySet<string> {
  const answer = cedar.schemaToJson(schema);
  if (answer.type === "failure") {
    throw invalidPolicy(`schema: ${answer.errors[0]?.message ?? "does not parse"}`);
  }
  const types = Object.values(answer.json).flatMap(({ entityTypes }) => Object.values(entityTypes));
  return new Set(types.flatMap(requiredOf));
}

function requiredOf(type: unknown): readonly string[] {
  const shape = isObject(type) ? type["shape"] : undefined;
  const attributes = isObject(shape) ? shape["attributes"] : undefined;
  if (!isObject(attributes)) return [];
  return Object.entries(attributes)
    .filter(([, attribute]) => isObject(attribute) && attribute["required"] !== false)
    .map(([name]) => name);
}

/** By gravity, then by policy; alike ones once, and the first reason why a policy is impossible is enough. */
function inOrder(found: readonly PolicyFinding[]): readonly PolicyFinding[] {
  const distinct = new Map<string, PolicyFinding>();
  for (const one of found) {
    const { kind, policy, message } = one;
    const key = JSON.stringify([kind, policy, kind === "impossible" ? "" : message]);
    if (!distinct.has(key)) distinct.set(key, one);
  }
  return [...distinct.values()].sort(
    (a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind) || byPolicy(a, b),
  );
}
