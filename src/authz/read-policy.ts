import type { Effect } from "@cedar-policy/cedar-wasm/nodejs";
import type { ContextAttribute } from "./context.ts";
import type { PolicyLink, PolicyProblem } from "./policy-set.ts";

/** One policy of a set. */
export interface PolicyFacts {
  /** `source/policy`, the id of a source with one policy, or that of a link. */
  readonly id: string;
  readonly effect: Effect;
  /** Cedar's text; of a link, the template's with its slots filled in. */
  readonly text: string;
  readonly kind: "static" | "template" | "link";
  /** What its `@description("…")` says. */
  readonly description?: string | undefined;
}

/** A policy that was read, not yet checked against a schema. */
export interface ReadPolicy extends PolicyFacts {
  /** Context attributes that a decision can depend on through it. */
  readonly mentioned: readonly ContextAttribute[];
  /** Slots of a template. */
  readonly slots: readonly Slot[];
  /** Where a link came from. */
  readonly link?: PolicyLink | undefined;
}

export type Slot = "?principal" | "?resource";

export interface Reading {
  readonly policies: readonly ReadPolicy[];
  readonly problems: readonly PolicyProblem[];
}
