import { type UnixMs, unixMs } from "./brand.ts";

/** Time as an argument, so that tests own it. */
export interface Clock {
  /** Wall clock: may jump; for dates that people and certificates see. */
  now(): UnixMs;
  /** Milliseconds, fractional, from an arbitrary start; never goes back. For deadlines and intervals. */
  monotonicMs(): number;
  /** Calls `run` once after `delayMs`; disposing the answer cancels it. Never keeps the process alive. */
  setTimer(delayMs: number, run: () => void): Disposable;
}

/** Longer ones fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => unixMs(Date.now()),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, run) {
    let timer: NodeJS.Timeout | undefined;
    const wait = (leftMs: number): void => {
      const partMs = Math.min(leftMs, TIMER_MAX_MS);
      timer = setTimeout(() => (partMs < leftMs ? wait(leftMs - partMs) : run()), partMs);
      timer.unref();
    };
    wait(delayMs);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};
