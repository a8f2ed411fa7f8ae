import { type Clock, GatehouseError, LIMITS, type UnixMs } from "../core/index.ts";

/** Wrong keys since the last time that the vault was open. */
export interface WrongKeys {
  readonly count: number;
  readonly firstAt: UnixMs;
  readonly lastAt: UnixMs;
}

/**
 * Bounds the guessing of a sealed vault's passphrase: some attempts in a row, then one a pause. Kept in memory: the log's
 * key lies in the vault.
 */
export class UnsealAttempts {
  readonly #clock: Clock;
  #left: number = LIMITS.unsealAttempts;
  #wrongAtMs = 0;
  #wrong: WrongKeys | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get wrong(): WrongKeys | undefined {
    return this.#wrong;
  }

  /** @throws vault.unseal-limited when this one is too early. */
  check(): void {
    if (this.#left > 0) return;
    const retryAfterMs = Math.ceil(this.#wrongAtMs + LIMITS.unsealPauseMs - this.#clock.monotonicMs());
    if (retryAfterMs <= 0) return;
    throw new GatehouseError("vault.unseal-limited", "too many wrong keys were tried", {
      hint: `try again in ${Math.ceil(retryAfterMs / 1_000)} seconds`,
      retryAfterMs,
    });
  }

  /** The attempt that `check` let through was wrong. */
  failed(): void {
    const now = this.#clock.now();
    this.#left = Math.max(0, this.#left - 1);
    this.#wrongAtMs = this.#clock.monotonicMs();
    this.#wrong = {
      count: (this.#wrong?.count ?? 0) + 1,
      firstAt: this.#wrong?.firstAt ?? now,
      lastAt: now,
    };
  }

  /** The vault is open, and its log has what was wrong. */
  clear(): void {
    this.#left = LIMITS.unsealAttempts;
    this.#wrong = undefined;
  }
}
