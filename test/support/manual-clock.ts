import { type Clock, type UnixMs, unixMs } from "../../src/core/index.ts";

interface Timer {
  readonly dueMs: number;
  readonly run: () => void;
}

/** A clock that stands still until told otherwise; timers fire in order of their due time. */
export class ManualClock implements Clock {
  #elapsedMs = 0;
  #wallMs: number;
  readonly #timers = new Set<Timer>();

  constructor(wallMs = 1_700_000_000_000) {
    this.#wallMs = wallMs;
  }

  now(): UnixMs {
    return unixMs(this.#wallMs);
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  setTimer(delayMs: number, run: () => void): Disposable {
    const timer: Timer = { dueMs: this.#elapsedMs + Math.max(0, delayMs), run };
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }

  /** Moves both clocks on by `ms`, firing what falls due on the way. */
  advance(ms: number): void {
    const target = this.#elapsedMs + ms;
    for (let next = this.#next(target); next !== undefined; next = this.#next(target)) {
      this.#timers.delete(next);
      this.#wallMs += next.dueMs - this.#elapsedMs;
      this.#elapsedMs = next.dueMs;
      next.run();
    }
    this.#wallMs += target - this.#elapsedMs;
    this.#elapsedMs = target;
  }

  /** Steps the wall clock alone, as an administrator or NTP would. */
  stepWall(ms: number): void {
    this.#wallMs += ms;
  }

  #next(targetMs: number): Timer | undefined {
    return [...this.#timers].filter((timer) => timer.dueMs <= targetMs).sort((a, b) => a.dueMs - b.dueMs)[0];
  }
}
