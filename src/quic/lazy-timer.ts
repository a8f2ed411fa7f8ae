import type { Clock } from "../core/index.ts";

/** Due times closer together than this are not worth arming anew. */
const SLACK_MS = 1;

/**
 * One timer that seldom touches the clock: an earlier one is left to fire, and its owner looks again. Busy connections move
 * their deadline with every packet.
 */
export class LazyTimer implements Disposable {
  readonly #clock: Clock;
  readonly #fire: () => void;
  #pending: { readonly dueMs: number; readonly armed: Disposable } | undefined;

  constructor(clock: Clock, fire: () => void) {
    this.#clock = clock;
    this.#fire = fire;
  }

  /** Fires at the latest `delayMs` from now, possibly earlier. */
  arm(delayMs: number): void {
    const dueMs = this.#clock.monotonicMs() + delayMs;
    if (this.#pending !== undefined && this.#pending.dueMs <= dueMs + SLACK_MS) return;
    this[Symbol.dispose]();
    const armed = this.#clock.setTimer(Math.max(1, Math.ceil(delayMs)), () => {
      this.#pending = undefined;
      this.#fire();
    });
    this.#pending = { dueMs, armed };
  }

  [Symbol.dispose](): void {
    this.#pending?.armed[Symbol.dispose]();
    this.#pending = undefined;
  }
}
