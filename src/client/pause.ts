import type { Clock } from "../core/index.ts";

/** Waits `delayMs`, not even a turn when it is 0; false, and at once, when `signal` is or gets aborted. Leaves no timer and no listener behind. */
export function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted || delayMs <= 0) return Promise.resolve(!signal.aborted);
  return new Promise((resolve) => {
    const wake = (): void => {
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", wake);
      resolve(!signal.aborted);
    };
    const timer = clock.setTimer(delayMs, wake);
    signal.addEventListener("abort", wake, { once: true });
  });
}
