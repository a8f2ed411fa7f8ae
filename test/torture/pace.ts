/** A stated rate, kept by whoever sends. */

const TICK_MS = 1;
/** What a sender that was held up may catch up with at once: more would be a burst, not the rate that was stated. */
const CATCH_UP_MS = 20;

export interface Paced {
  readonly datagrams: number;
  readonly perSecond: number;
}

/** Calls `next`, which answers how many datagrams it sent, as often as `perSecond` allows, for `seconds`. */
export async function pace(
  { perSecond, seconds }: { readonly perSecond: number; readonly seconds: number },
  next: () => number,
): Promise<Paced> {
  const startedMs = performance.now();
  const perMs = perSecond / 1_000;
  let datagrams = 0;
  let allowance = 0;
  let lastMs = startedMs;
  for (let nowMs = startedMs; nowMs - startedMs < seconds * 1_000; nowMs = performance.now()) {
    allowance = Math.min(allowance + (nowMs - lastMs) * perMs, CATCH_UP_MS * perMs);
    lastMs = nowMs;
    while (allowance >= 1) {
      const sent = next();
      // Nothing to send right now: the allowance of this tick is lost.
      if (sent === 0) break;
      datagrams += sent;
      allowance -= sent;
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  return { datagrams, perSecond: Math.round((datagrams * 1_000) / (performance.now() - startedMs)) };
}
