import { GatehouseError } from "../core/index.ts";

/** Somebody's policies: Cedar text, or a link that fills in a template which another source has. */
export type PolicySource = PolicyText | PolicyLink;

export interface PolicyText {
  /** `[a-z0-9][a-z0-9._-]*`, at most 64 characters; the first half of its policies' ids. */
  readonly id: string;
  /**
   * One policy, whose id then is the source's; or several, each with its own `@id("…")`. A template (a policy with
   * `?principal` or `?resource` in its scope) always has an `@id`, and decides nothing before a link fills it in.
   */
  readonly text: string;
}

export interface PolicyLink {
  /** As of a text; the id of the policy that the filled-in template is. */
  readonly id: string;
  /** `source/policy` of the template. */
  readonly template: string;
  /** For `?principal`; there exactly when the template has it. */
  readonly principal?: EntityName | undefined;
  /** For `?resource`, likewise. */
  readonly resource?: EntityName | undefined;
}

/** An entity as policies write it: `Role::"owner"` is `{ type: "Role", id: "owner" }`. */
export interface EntityName {
  readonly type: string;
  /** At most 1 024 characters. */
  readonly id: string;
}

/** What is wrong with one source or policy; `policy` is empty for the set as a whole. */
export interface PolicyProblem {
  readonly policy: string;
  readonly message: string;
}

const ID = /^[a-z0-9][a-z0-9._-]{0,63}$/;
const ENTITY_TYPE = /^[A-Za-z_]\w{0,63}(?:::[A-Za-z_]\w{0,63}){0,7}$/;
/** Twice the longest path. */
const ENTITY_ID_CHARACTERS_MAX = 1_024;

export function isPolicyLink(source: PolicySource): source is PolicyLink {
  return "template" in source;
}

export function isPolicyIdPart(text: string): boolean {
  return ID.test(text);
}

export function isEntityName({ type, id }: EntityName): boolean {
  return ENTITY_TYPE.test(type) && id.length <= ENTITY_ID_CHARACTERS_MAX && !/\p{Cs}/u.test(id);
}

/** What makes the source, without whatever else its object carries. */
export function bareSource(source: PolicySource): PolicySource {
  if (!isPolicyLink(source)) return { id: source.id, text: source.text };
  const { id, template, principal, resource } = source;
  return { id, template, principal, resource };
}

/** Of its text; of a link, of everything. */
export function sourceBytes(source: PolicySource): number {
  return Buffer.byteLength(isPolicyLink(source) ? JSON.stringify(bareSource(source)) : source.text);
}

/** Order for whatever Cedar hands out in none. */
export function byPolicy(a: PolicyProblem, b: PolicyProblem): number {
  if (a.policy === b.policy) return 0;
  return a.policy < b.policy ? -1 : 1;
}

export function invalidPolicy(message: string, cause?: unknown): GatehouseError {
  return new GatehouseError("authz.invalid-policy", message, {
    hint: "the policies in force are unchanged; correct the text and load it again",
    cause,
  });
}

/** The problem as the error of whoever loads the set. */
export function refusal({ policy, message }: PolicyProblem): GatehouseError {
  return invalidPolicy(policy === "" ? message : `${policy}: ${message}`);
}
