import { type Clock, LIMITS, type UnixMs, unixMs } from "../core/index.ts";
import type { JoinerFacts } from "./attempt.ts";
import type { Attempt } from "./attempts.ts";
import type { PairingMode } from "./messages.ts";

/** Somebody who has proven the secret and waits for a yes. */
export interface Joiner {
  readonly deviceId: string;
  readonly name: string;
  readonly kind: string;
  readonly platform: string;
  /** What it would get. */
  readonly role: string;
  /** Id of the device that would be revoked for it; empty when nobody would. */
  readonly replaces: string;
  readonly expiresAt: UnixMs;
  readonly remoteAddress: string;
}

export interface QuestionOptions {
  readonly facts: JoinerFacts;
  readonly role: string;
  readonly replaces: string;
  readonly attempt: Attempt;
  readonly clock: Clock;
  /** Nobody answered in time, or the joiner did not come for its answer. */
  readonly onExpired: (question: Question) => void;
}

/** One question to the operator; it outlives the connection it was asked on, so that its joiner may come back to it. */
export class Question implements Disposable {
  readonly joiner: Joiner;
  readonly mode: PairingMode;
  /** The connection that waits for the answer. */
  attempt: Attempt;
  readonly #facts: JoinerFacts;
  readonly #options: QuestionOptions;
  readonly #endsAtMs: number;
  #timer: Disposable;
  #isApproved = false;
  #onApproved: () => void = () => undefined;

  constructor(options: QuestionOptions) {
    const { facts, role, replaces, attempt, clock } = options;
    const { deviceId, name, kind, platform, remoteAddress } = facts;
    const expiresAt = unixMs(clock.now() + LIMITS.pairingApprovalMs);
    this.joiner = { deviceId, name, kind, platform, role, replaces, expiresAt, remoteAddress };
    this.mode = attempt.mode;
    this.attempt = attempt;
    this.#facts = facts;
    this.#options = options;
    this.#endsAtMs = clock.monotonicMs() + LIMITS.pairingApprovalMs;
    this.#timer = this.#expireAfter(LIMITS.pairingApprovalMs);
  }

  get isApproved(): boolean {
    return this.#isApproved;
  }

  get remainingMs(): number {
    return Math.max(1, Math.ceil(this.#endsAtMs - this.#options.clock.monotonicMs()));
  }

  /** Whether `attempt` may wait for this answer: what is approved must be what was shown. */
  isAbout(attempt: Attempt, facts: JoinerFacts): boolean {
    const own = this.#facts;
    return (
      attempt.joiner === this.attempt.joiner &&
      facts.name === own.name &&
      facts.kind === own.kind &&
      facts.platform === own.platform &&
      facts.replace === own.replace
    );
  }

  /** The answer stands for a joiner that has to come back for it, for a short while. */
  approve(): void {
    this.#isApproved = true;
    this.#timer[Symbol.dispose]();
    this.#timer = this.#expireAfter(LIMITS.pairingRejoinMs);
    this.#onApproved();
  }

  /** Resolves when approved; rejects with the reason when `attempt` is over before. */
  async approved(attempt: Attempt): Promise<void> {
    if (this.#isApproved) return;
    await new Promise<void>((resolve, reject) => {
      this.#onApproved = resolve;
      attempt.onGone = reject;
    });
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }

  #expireAfter(delayMs: number): Disposable {
    return this.#options.clock.setTimer(delayMs, () => this.#options.onExpired(this));
  }
}
