import { type ContextAttribute, contextKey } from "./context.ts";
import type { Decision } from "./decision.ts";
import type { AuthorizationRequest, DeviceFacts, Resource } from "./request.ts";

/**
 * Decisions already made under one set of policies. Bounded; the oldest goes first.
 * Dropped whole with the set: a new set gets a new memo.
 */
export class DecisionMemo {
  readonly #entriesMax: number;
  readonly #mentioned: readonly ContextAttribute[];
  readonly #decisions = new Map<string, Decision>();

  constructor(entriesMax: number, mentioned: ReadonlySet<ContextAttribute>) {
    this.#entriesMax = entriesMax;
    this.#mentioned = [...mentioned];
  }

  /** Everything that the engine's answer is a function of, and nothing else; different requests never share one. */
  keyOf({ principal, action, resource, context }: AuthorizationRequest): string {
    return JSON.stringify([
      principal.deviceId,
      ...factsKey(principal),
      action,
      ...resourceKey(resource),
      ...this.#mentioned.map((attribute) => contextKey(context, attribute)),
    ]);
  }

  find(key: string): Decision | undefined {
    return this.#decisions.get(key);
  }

  remember(key: string, decision: Decision): void {
    if (this.#decisions.size >= this.#entriesMax) {
      const [oldest] = this.#decisions.keys();
      if (oldest !== undefined) this.#decisions.delete(oldest);
    }
    this.#decisions.set(key, Object.freeze({ ...decision, isMemoised: true }));
  }
}

function factsKey({ roles, name, user }: DeviceFacts): readonly unknown[] {
  return [roles, name, user === undefined ? undefined : [user.id, user.roles]];
}

function resourceKey(resource: Resource): readonly unknown[] {
  switch (resource.kind) {
    case "secret":
    case "folder":
      return [resource.kind, resource.path];
    case "device":
      return [resource.kind, resource.id, ...factsKey(resource)];
    case "gatehouse":
    case "policy":
      return [resource.kind, resource.id];
    case "tool":
    case "profile":
      return [resource.kind, resource.name];
    case "audit-log":
      return [resource.kind];
  }
}
