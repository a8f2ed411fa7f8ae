import { type Clock, type GatehouseError, hex, LIMITS } from "../core/index.ts";
import { type JoinerKeys, joinerOf } from "./attempt.ts";
import type { PairingMode } from "./messages.ts";
import { busy, closed, timedOut } from "./refusals.ts";

/** An attempt as its window sees it. */
export interface Attempt {
  readonly mode: PairingMode;
  /** The identity key, hex. */
  readonly identity: string;
  /** Identity and TLS key: what nobody else can come back as. */
  readonly joiner: string;
  readonly controller: AbortController;
  /**
   * After the secret is proven and it was said who it is: may it be enrolled as it is (`free`), does somebody have to
   * be asked (`asked`), or does it get what another connection of its joiner has been or is being granted (`sharing`)?
   */
  stage: "unproven" | "proven" | "free" | "asked" | "sharing";
  deadline: Disposable | undefined;
  /** Tells whoever waits on behalf of the attempt that it is over. */
  onGone: ((reason: unknown) => void) | undefined;
}

export interface AttemptsOptions {
  readonly clock: Clock;
  /** True for one that must run to its end. */
  readonly isHeld: (attempt: Attempt) => boolean;
  /** One by code has ended before it showed a tag. */
  readonly onUnproven: () => void;
}

/** The exchanges that are under way in one window. */
export class Attempts {
  readonly #options: AttemptsOptions;
  readonly #all = new Set<Attempt>();

  constructor(options: AttemptsOptions) {
    this.#options = options;
  }

  get all(): readonly Attempt[] {
    return [...this.#all];
  }

  by(mode: PairingMode): readonly Attempt[] {
    return this.all.filter((attempt) => attempt.mode === mode);
  }

  has(attempt: Attempt): boolean {
    return this.#all.has(attempt);
  }

  add(mode: PairingMode, keys: JoinerKeys): Attempt {
    const attempt: Attempt = {
      mode,
      identity: hex(keys.identityKey),
      joiner: joinerOf(keys),
      controller: new AbortController(),
      stage: "unproven",
      deadline: undefined,
      onGone: undefined,
    };
    this.#all.add(attempt);
    return attempt;
  }

  /**
   * Makes room for one more by URI at the cost of the oldest that has proven nothing.
   * @throws GatehouseError `pairing.busy` when all have.
   */
  makeRoom(): void {
    const byUri = this.by("uri");
    if (byUri.length < LIMITS.pairingUriAttempts) return;
    const oldest = byUri.find(({ stage }) => stage === "unproven");
    if (oldest === undefined) throw busy();
    this.abort(oldest, busy());
  }

  /** Gives `attempt` so long from now for what comes next; `undefined`: as long as it takes. */
  arm(attempt: Attempt, delayMs: number | undefined): void {
    attempt.deadline?.[Symbol.dispose]();
    if (delayMs === undefined || !this.#all.has(attempt)) return;
    attempt.deadline = this.#options.clock.setTimer(delayMs, () => this.abort(attempt, timedOut()));
  }

  /** A link that is gone before it showed a tag frees the slot; too many of them cost the code. */
  end(attempt: Attempt): void {
    const wasThere = this.#all.has(attempt);
    this.release(attempt, closed());
    if (wasThere) this.#count(attempt);
  }

  abort(attempt: Attempt, reason: GatehouseError): void {
    if (!this.#all.has(attempt) || this.#options.isHeld(attempt)) return;
    this.release(attempt, reason);
    attempt.controller.abort(reason);
    this.#count(attempt);
  }

  /** Ends it without a word to its connection. */
  release(attempt: Attempt, reason: GatehouseError): void {
    attempt.deadline?.[Symbol.dispose]();
    this.#all.delete(attempt);
    attempt.onGone?.(reason);
    attempt.onGone = undefined;
  }

  #count({ mode, stage }: Attempt): void {
    if (mode === "code" && stage === "unproven") this.#options.onUnproven();
  }
}
