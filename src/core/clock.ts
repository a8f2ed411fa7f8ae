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

export const systemClock: Clock = {
  now: () => unixMs(Date.now()),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};
