import { setImmediate as turn } from "node:timers/promises";

/** Work with places where others may have their turn. */
export type Steps<Result> = Generator<undefined, Result, undefined>;

/** Long enough to cost nothing, short enough for nobody to notice. */
const SLICE_MS = 10;

/** Does it all at once. */
export function atOnce<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Does it with a turn of the event loop now and then. */
export async function inTurns<Result>(steps: Steps<Result>): Promise<Result> {
  let sinceMs = performance.now();
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (performance.now() - sinceMs < SLICE_MS) continue;
    await turn();
    sinceMs = performance.now();
  }
}
