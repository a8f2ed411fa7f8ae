import { type Clock, GatehouseError, LIMITS, type UnixMs } from "../core/index.ts";

/** Burnt codes further apart than this are bad luck, not an attack. */
const BURNT_CODES_WITHIN_MS = 3_600_000;

/** Where burnt codes are remembered over restarts; supplied by the daemon. */
export interface PairingLimiterStore {
  /** Wall-clock times of burnt codes, oldest first; the newest five are enough. */
  load(): Promise<readonly UnixMs[]>;
  /** On disk, and in the audit, before it resolves. */
  recordBurnt(at: UnixMs): Promise<void>;
}

/**
 * Pauses pairing by code for 15 minutes after a burnt code that is the fifth within an hour. In the process time is
 * monotonic, so that a stepped wall clock neither ends a pause nor prolongs it; after a restart the wall clock is all
 * there is, and one that stands before the last burnt code counts as no time passed: a pause never lasts longer.
 */
export class PairingLimiter {
  readonly #store: PairingLimiterStore;
  readonly #clock: Clock;
  /** Monotonic times of the newest burnt codes, oldest first. */
  #burnt: readonly number[] = [];

  private constructor(store: PairingLimiterStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  static async open(store: PairingLimiterStore, clock: Clock): Promise<PairingLimiter> {
    const limiter = new PairingLimiter(store, clock);
    const times = await store.load();
    const now = Math.max(clock.now(), ...times);
    // A clock that was set back reads earlier than the newest burnt code: `now` then is that code's time.
    for (const at of times.toSorted((a, b) => a - b)) limiter.#count(clock.monotonicMs() - (now - at));
    return limiter;
  }

  /** Milliseconds until codes work again; 0 when they do. */
  get pausedForMs(): number {
    const [oldest, newest] = [this.#burnt[0], this.#burnt.at(-1)];
    if (oldest === undefined || newest === undefined) return 0;
    if (this.#burnt.length < LIMITS.burntCodes || newest - oldest > BURNT_CODES_WITHIN_MS) return 0;
    return Math.max(0, newest + LIMITS.burntCodesPauseMs - this.#clock.monotonicMs());
  }

  /** Codes burnt within the last hour, as far as they are remembered: at most `LIMITS.burntCodes`. */
  get burntCodes(): number {
    const since = this.#clock.monotonicMs() - BURNT_CODES_WITHIN_MS;
    return this.#burnt.filter((at) => at > since).length;
  }

  /** @throws GatehouseError `pairing.paused`. */
  check(): void {
    const retryAfterMs = Math.ceil(this.pausedForMs);
    if (retryAfterMs === 0) return;
    throw new GatehouseError("pairing.paused", "too many wrong codes: pairing by code is paused", {
      hint: "wait, then open a new window: somebody may be guessing codes at this address",
      retryAfterMs,
    });
  }

  /** Counts at once, then stores. @throws whatever the store throws; the code counts as burnt regardless. */
  async recordBurnt(): Promise<void> {
    this.#count(this.#clock.monotonicMs());
    await this.#store.recordBurnt(this.#clock.now());
  }

  #count(at: number): void {
    this.#burnt = [...this.#burnt, at].slice(-LIMITS.burntCodes);
  }
}
