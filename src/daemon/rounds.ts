import type { Clock, Logger } from "../core/index.ts";

/** Short, so that little happens by an old certificate after a machine has slept or its clock was set. */
const PAUSE_MS = 15_000;

export interface RoundsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Between the end of one round and the next; default 15 000. */
  readonly pauseMs?: number | undefined;
}

/** Looks after what changes with the calendar, one duty after another, again and again until disposed. */
export class Rounds implements AsyncDisposable {
  readonly #options: RoundsOptions;
  readonly #duties: readonly (() => Promise<void>)[];
  #timer: Disposable | undefined;
  #round: Promise<void> = Promise.resolve();
  #isOver = false;

  constructor(duties: readonly (() => Promise<void>)[], options: RoundsOptions) {
    this.#options = options;
    this.#duties = duties;
    this.#schedule();
  }

  /** Does one now; that it failed is logged. */
  async attempt(duty: () => Promise<void>): Promise<void> {
    try {
      await duty();
    } catch (failure) {
      this.#options.logger.error("round-failed", {
        error: failure instanceof Error ? failure.message : "unknown",
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    this.#timer?.[Symbol.dispose]();
    await this.#round;
  }

  #schedule(): void {
    if (this.#isOver) return;
    const { clock, pauseMs = PAUSE_MS } = this.#options;
    this.#timer = clock.setTimer(pauseMs, () => {
      this.#round = this.#go().finally(() => this.#schedule());
    });
  }

  /** A duty that fails is tried again the next time. */
  async #go(): Promise<void> {
    for (const duty of this.#duties) await this.attempt(duty);
  }
}
