import { type Clock, LIMITS } from "../../core/index.ts";
import type { Dialled, Lane } from "./lane.ts";

const RETIRE_POLL_MS = 50;

/** All connections of a link that are not closed, and whatever must have ended before the link has. */
export class Lanes implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #open = new Set<Lane>();
  readonly #closing = new Set<Promise<void>>();
  readonly #timers = new Set<Disposable>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(lane: Lane): void {
    this.#open.add(lane);
  }

  has(lane: Lane): boolean {
    return this.#open.has(lane);
  }

  of(dialled: Dialled): Lane | undefined {
    return [...this.#open].find((lane) => lane.dialled === dialled);
  }

  close(lane: Lane): void {
    lane.vigil[Symbol.dispose]();
    if (this.#open.delete(lane)) this.holdUntil(lane.dialled[Symbol.asyncDispose]());
  }

  /** Closes it when its calls have ended. */
  retire(lane: Lane): void {
    const endsMs = this.#clock.monotonicMs() + LIMITS.retireMs;
    const look = (): void => {
      if (!this.#open.has(lane)) return;
      const isOver = lane.connection.streamCount === 0 || this.#clock.monotonicMs() >= endsMs;
      if (isOver) this.close(lane);
      else this.after(RETIRE_POLL_MS, look);
    };
    look();
  }

  /** Nothing of this has ended before `work` has settled. */
  holdUntil(work: PromiseLike<unknown>): void {
    const settled = Promise.resolve(work).then(
      () => undefined,
      () => undefined,
    );
    this.#closing.add(settled);
    void settled.then(() => this.#closing.delete(settled));
  }

  /** Not after `stopTimers`. */
  after(delayMs: number, run: () => void): void {
    const timer = this.#clock.setTimer(delayMs, () => {
      this.#timers.delete(timer);
      run();
    });
    this.#timers.add(timer);
  }

  stopTimers(): void {
    for (const timer of this.#timers) timer[Symbol.dispose]();
    this.#timers.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stopTimers();
    for (const lane of this.#open) this.close(lane);
    while (this.#closing.size > 0) await Promise.all(this.#closing);
  }
}
