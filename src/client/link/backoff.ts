import { type Clock, LIMITS, type Random } from "../../core/index.ts";

/** A connection that held so long was a good one: the next failure starts from the beginning. */
const GOOD_MS = 5_000;

/** How long to wait before the next attempt: nothing at first, then longer and longer, with jitter (half to whole). */
export class Backoff {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #pauseMaxMs: number;
  #failures = 0;
  #goodSinceMs: number | undefined;

  constructor(clock: Clock, random: Random, pauseMaxMs: number = LIMITS.reconnectPauseMaxMs) {
    this.#clock = clock;
    this.#random = random;
    this.#pauseMaxMs = pauseMaxMs;
  }

  /** A connection is there. */
  opened(): void {
    this.#goodSinceMs = this.#clock.monotonicMs();
  }

  /** A connection was lost; asks nothing for one that was good. */
  lost(): void {
    const goodMs = this.#clock.monotonicMs() - (this.#goodSinceMs ?? Number.POSITIVE_INFINITY);
    this.#goodSinceMs = undefined;
    this.#failures = goodMs >= GOOD_MS ? 0 : this.#failures + 1;
  }

  /** An attempt failed, or the gatehouse has asked for time. */
  failed(): void {
    this.#goodSinceMs = undefined;
    this.#failures += 1;
  }

  delayMs(): number {
    if (this.#failures === 0) return 0;
    const longestMs = LIMITS.reconnectPauseMs * 2 ** Math.min(this.#failures - 1, 16);
    const [byte = 0] = this.#random.bytes(1);
    return Math.min(longestMs, this.#pauseMaxMs) * (0.5 + byte / 510);
  }
}
