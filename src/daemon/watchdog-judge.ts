import type { Sight } from "./watchdog-memory.ts";

/** How long the main thread has been silent, and on whom it works. */
export interface Finding {
  readonly isFrozen: boolean;
  /** Since the last beat, as far as this thread could see. */
  readonly silentMs: number;
  /** Being handled, without a change, for the second half of the silence at least; see `Sight.device`. */
  readonly device: string | undefined;
}

export interface FreezeJudgeOptions {
  /** Silence past this is a freeze. */
  readonly silenceMs: number;
  /** How often `look` is called. */
  readonly tickMs: number;
  /** Monotonic. */
  readonly nowMs: number;
}

/**
 * Tells a frozen main thread from a process that did not run. A machine that slept, or a process that was stopped,
 * shows in the watchdog's own ticks coming late: of such a gap only two ticks count.
 */
export class FreezeJudge {
  readonly #options: FreezeJudgeOptions;
  #lookedMs: number;
  #beats: number | undefined;
  #turns: number | undefined;
  #silentMs = 0;
  #unchangedMs = 0;

  constructor(options: FreezeJudgeOptions) {
    this.#options = options;
    this.#lookedMs = options.nowMs;
  }

  look(nowMs: number, { beats, turns, device }: Sight): Finding {
    const { silenceMs, tickMs } = this.#options;
    const elapsedMs = Math.min(nowMs - this.#lookedMs, 2 * tickMs);
    this.#lookedMs = nowMs;
    this.#silentMs = beats === this.#beats ? this.#silentMs + elapsedMs : 0;
    this.#unchangedMs = turns === this.#turns ? this.#unchangedMs + elapsedMs : 0;
    this.#beats = beats;
    this.#turns = turns;
    // A loop that starves timers goes on from connection to connection: blame none of them.
    const isOneTurn = this.#unchangedMs >= silenceMs / 2;
    return {
      isFrozen: this.#silentMs > silenceMs,
      silentMs: this.#silentMs,
      device: isOneTurn ? device : undefined,
    };
  }
}
