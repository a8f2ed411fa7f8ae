import type { ContextAttribute } from "./context.ts";
import type { Decision } from "./decision.ts";
import type { AuthorizationRequest } from "./request.ts";
import { requestKey } from "./request-key.ts";

/** Longer ones hold whole arguments of tools: a caller could fill the memory with them. */
const KEY_CHARACTERS_MAX = 4_096;

/**
 * Decisions already made under one set of policies. Bounded; the oldest goes first.
 * Dropped whole with the set: a new set gets a new memo.
 */
export class DecisionMemo {
  readonly #entriesMax: number;
  readonly #mentioned: readonly ContextAttribute[];
  readonly #decisions = new Map<string, Decision>();
  /** From the oldest on: whatever it passes is deleted. One begun anew would step over all that the map has lost. */
  readonly #byAge = this.#decisions.keys();

  constructor(entriesMax: number, mentioned: ReadonlySet<ContextAttribute>) {
    this.#entriesMax = entriesMax;
    this.#mentioned = [...mentioned];
  }

  /** Everything that the engine's answer is a function of, and nothing else; different requests never share one. */
  keyOf(request: AuthorizationRequest): string {
    return requestKey(request, this.#mentioned);
  }

  find(key: string): Decision | undefined {
    return this.#decisions.get(key);
  }

  remember(key: string, decision: Decision): void {
    if (key.length > KEY_CHARACTERS_MAX) return;
    if (this.#decisions.size >= this.#entriesMax) {
      const { value: oldest } = this.#byAge.next();
      if (oldest !== undefined) this.#decisions.delete(oldest);
    }
    this.#decisions.set(key, Object.freeze({ ...decision, isMemoised: true }));
  }
}
