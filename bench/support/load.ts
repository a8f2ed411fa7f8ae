import { Bench } from "tinybench";
import type { Caller, ContenderClient, Operation } from "../contender.ts";
import { type LatencySummary, summarize } from "./percentiles.ts";

export interface LoadOrder {
  readonly operation: Operation;
  readonly inFlight: number;
  /** Driven in the same way before, and thrown away. */
  readonly warmupMs: number;
  readonly durationMs: number;
}

export interface LoadResult {
  readonly callsPerSecond: number;
  readonly latencyMs: LatencySummary;
  /** Calls that had no answer `PATIENCE_MS` after the end; they count for nothing else. */
  readonly lost: number;
}

const PATIENCE_MS = 1_500;

/** One at a time through tinybench, more in flight through a closed loop: a finished call starts the next. */
export async function load(caller: Caller, order: LoadOrder): Promise<LoadResult> {
  if (order.inFlight === 1) return oneAtATime(caller, order);
  await closedLoop(caller, order, order.warmupMs);
  return closedLoop(caller, order, order.durationMs);
}

/** From nothing to the first answer, `count` times, milliseconds each. */
export async function coldStarts(client: ContenderClient, count: number): Promise<readonly number[]> {
  const samplesMs: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const startedMs = performance.now();
    await using caller = await client.connect();
    await caller.call("ping");
    samplesMs.push(performance.now() - startedMs);
  }
  return samplesMs;
}

async function oneAtATime(caller: Caller, order: LoadOrder): Promise<LoadResult> {
  const bench = new Bench({
    time: order.durationMs,
    warmupTime: order.warmupMs,
    retainSamples: true,
    throws: true,
  });
  bench.add(order.operation, () => caller.call(order.operation));
  const [task] = await within(bench.run(), order.warmupMs + order.durationMs + 4 * PATIENCE_MS, []);
  if (task === undefined || !("latency" in task.result)) throw new Error(`a ${order.operation} got stuck`);
  const { mean, samples } = task.result.latency;
  return { callsPerSecond: 1_000 / mean, latencyMs: summarize(samples ?? []), lost: 0 };
}

/** Only calls answered inside the window count, so that a straggler does not stretch it. */
async function closedLoop(caller: Caller, order: LoadOrder, durationMs: number): Promise<LoadResult> {
  const samplesMs: number[] = [];
  let running = order.inFlight;
  const endMs = performance.now() + durationMs;
  const worker = async (): Promise<void> => {
    let beganMs = performance.now();
    while (beganMs < endMs) {
      await caller.call(order.operation);
      const doneMs = performance.now();
      if (doneMs <= endMs) samplesMs.push(doneMs - beganMs);
      beganMs = doneMs;
    }
    running -= 1;
  };
  const workers = Array.from({ length: order.inFlight }, worker);
  await within(Promise.all(workers), durationMs + PATIENCE_MS, []);
  return {
    callsPerSecond: (samplesMs.length / durationMs) * 1_000,
    latencyMs: summarize(samplesMs),
    lost: running,
  };
}

/** What `work` answers, or `otherwise` after `ms`; a later failure of `work` is nobody's then. */
async function within<Answer>(work: Promise<Answer>, ms: number, otherwise: Answer): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Answer>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
