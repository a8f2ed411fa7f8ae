import type { PolicyJson } from "@cedar-policy/cedar-wasm/nodejs";
import { GatehouseError, LIMITS } from "../core/index.ts";
import type { CedarModule } from "./cedar-module.ts";
import { CONTEXT_ATTRIBUTES, type ContextAttribute } from "./context.ts";

/** Cedar policies as somebody wrote them. */
export interface PolicySource {
  /** `[a-z0-9][a-z0-9._-]*`, at most 64 characters; the first half of its policies' ids. */
  readonly id: string;
  /** One policy; or several, each then with its own `@id("…")`. Templates are not taken. */
  readonly text: string;
}

/** Single policies by id (`source/policy`), not yet checked against a schema. */
export interface PolicySet {
  readonly policies: Readonly<Record<string, string>>;
  /** Context attributes that a decision under this set can depend on. */
  readonly mentioned: ReadonlySet<ContextAttribute>;
}

const ID = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/**
 * Nodes one inside another in a policy. The engine runs on a WebAssembly stack that a policy nested much deeper
 * overflows, which would deny every call; 96 leaves it half of that stack.
 */
const DEPTH_MAX = 96;

/** @throws GatehouseError `authz.invalid-policy` saying which source and what. */
export function parsePolicySet(cedar: CedarModule, sources: readonly PolicySource[]): PolicySet {
  const sizeBytes = sources.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
  if (sizeBytes > LIMITS.policyBytes) {
    throw invalidPolicy(`policies are ${sizeBytes} bytes together, at most ${LIMITS.policyBytes} are taken`);
  }
  const policies = new Map<string, string>();
  const mentioned = new Set<ContextAttribute>();
  for (const source of sources) {
    for (const [id, text, json] of parseSource(cedar, source)) {
      if (policies.has(id)) throw invalidPolicy(`there are two policies with the id ${id}`);
      policies.set(id, text);
      for (const attribute of contextMentions(json)) mentioned.add(attribute);
    }
  }
  return { policies: Object.fromEntries(policies), mentioned };
}

export function invalidPolicy(message: string, cause?: unknown): GatehouseError {
  return new GatehouseError("authz.invalid-policy", message, {
    hint: "the policies in force are unchanged; correct the text and load it again",
    cause,
  });
}

type Parsed = readonly [id: string, text: string, json: PolicyJson];

function parseSource(cedar: CedarModule, { id, text }: PolicySource): Parsed[] {
  if (!ID.test(id)) throw invalidPolicy("a policy source's id is not of [a-z0-9._-], at most 64");
  const parts = cedar.policySetTextToParts(text);
  if (parts.type === "failure") throw invalidPolicy(`${id}: ${parts.errors[0]?.message ?? "does not parse"}`);
  if (parts.policy_templates.length > 0) throw invalidPolicy(`${id}: templates are not taken`);
  return parts.policies.map((policy) => {
    const json = policyJson(cedar, id, policy);
    return [policyId(id, json, parts.policies.length), policy, json];
  });
}

function policyJson(cedar: CedarModule, source: string, policy: string): PolicyJson {
  const answer = cedar.policyToJson(policy);
  if (answer.type === "failure") {
    throw invalidPolicy(`${source}: ${answer.errors[0]?.message ?? "does not parse"}`);
  }
  if (depthOf(answer.json.conditions) > DEPTH_MAX)
    throw invalidPolicy(`${source}: a condition is nested too deep`);
  return answer.json;
}

function policyId(source: string, { annotations }: PolicyJson, siblings: number): string {
  const id = annotations?.["id"];
  if (id === undefined && siblings === 1) return source;
  if (id === undefined) throw invalidPolicy(`${source}: has several policies, so each needs an @id`);
  if (!ID.test(id)) throw invalidPolicy(`${source}: an @id is not of [a-z0-9._-], at most 64`);
  return `${source}/${id}`;
}

/** Nesting of operators: each is one object holding one of operands. */
function depthOf(node: unknown): number {
  let depth = 0;
  for (let level = childrenOf(node); level.length > 0; level = level.flatMap(childrenOf)) depth += 1;
  return depth / 2;
}

/**
 * Which context attributes the conditions can see. `context.x` and `context has x` see that one; the context
 * taken whole, in any other place, could see all of it.
 */
function contextMentions({ conditions }: PolicyJson): readonly ContextAttribute[] {
  const found = new Set<string>();
  let sees = false;
  const visit = (node: unknown): void => {
    const access = contextAccess(node);
    if (access !== undefined) found.add(access);
    else if (isContextVar(node)) sees = true;
    else childrenOf(node).forEach(visit);
  };
  visit(conditions);
  return CONTEXT_ATTRIBUTES.filter((attribute) => sees || found.has(attribute));
}

function contextAccess(node: unknown): string | undefined {
  if (!isObject(node)) return undefined;
  const access = node["."] ?? node["has"];
  if (!isObject(access) || !isContextVar(access["left"])) return undefined;
  const attr: unknown = access["attr"];
  // `context has approval.id` comes as a list.
  const first: unknown = Array.isArray(attr) ? attr[0] : attr;
  return typeof first === "string" ? first : undefined;
}

function isContextVar(node: unknown): boolean {
  return isObject(node) && node["Var"] === "context";
}

function childrenOf(node: unknown): unknown[] {
  return isObject(node) || Array.isArray(node) ? Object.values(node) : [];
}

function isObject(node: unknown): node is Readonly<Record<string, unknown>> {
  return typeof node === "object" && node !== null && !Array.isArray(node);
}
