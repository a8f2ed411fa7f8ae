import { Bench } from "tinybench";
import type { Caller, ContenderClient, Operation, Start } from "../contender.ts";
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
  /** All that were answered, those of the warm-up included. */
  readonly answered: number;
}

export interface StartsResult {
  readonly samplesMs: readonly number[];
  /** Connections that began in another way than they were asked to: not among the samples. */
  readonly otherwise: number;
}

const PATIENCE_MS = 1_500;

/** No call was answered in the time. */
const NEVER: LatencySummary = {
  p50: Number.POSITIVE_INFINITY,
  p95: Number.POSITIVE_INFINITY,
  p99: Number.POSITIVE_INFINITY,
  max: Number.POSITIVE_INFINITY,
};

/** One at a time through tinybench, more in flight through a closed loop: a finished call starts the next. */
export async function load(caller: Caller, order: LoadOrder): Promise<LoadResult> {
  let answered = 0;
  const call = async (): Promise<void> => {
    await caller.call(order.operation);
    answered += 1;
  };
  const result = await (order.inFlight === 1 ? oneAtATime(call, order) : manyAtOnce(call, order));
  return { ...result, answered };
}

/** From nothing to the first answer, `count` times, milliseconds each; none when `client` cannot begin like that. */
export async function starts(client: ContenderClient, start: Start, count: number): Promise<StartsResult> {
  const samplesMs: number[] = [];
  const { starts: ways = { cold: () => client.connect() } } = client;
  const connect = ways[start];
  if (connect === undefined) return { samplesMs, otherwise: 0 };
  for (let index = 0; index < count; index += 1) {
    const startedMs = performance.now();
    await using caller = await connect();
    await caller.call("ping");
    const durationMs = performance.now() - startedMs;
    if ((caller.start?.() ?? "cold") === start) samplesMs.push(durationMs);
  }
  return { samplesMs, otherwise: count - samplesMs.length };
}

type Call = () => Promise<void>;
type Measured = Omit<LoadResult, "answered">;

async function manyAtOnce(call: Call, order: LoadOrder): Promise<Measured> {
  await closedLoop(call, order, order.warmupMs);
  return closedLoop(call, order, order.durationMs);
}

async function oneAtATime(call: Call, order: LoadOrder): Promise<Measured> {
  const bench = new Bench({
    time: order.durationMs,
    warmupTime: order.warmupMs,
    retainSamples: true,
    throws: true,
  });
  bench.add(order.operation, call);
  const [task] = await within(bench.run(), order.warmupMs + order.durationMs + 4 * PATIENCE_MS, []);
  if (task === undefined || !("latency" in task.result)) throw new Error(`a ${order.operation} got stuck`);
  const { mean, samples } = task.result.latency;
  return { callsPerSecond: 1_000 / mean, latencyMs: summarize(samples ?? []), lost: 0 };
}

/** Only calls answered inside the window count, so that a straggler does not stretch it. */
async function closedLoop(call: Call, order: LoadOrder, durationMs: number): Promise<Measured> {
  const samplesMs: number[] = [];
  let running = order.inFlight;
  const endMs = performance.now() + durationMs;
  const worker = async (): Promise<void> => {
    let beganMs = performance.now();
    while (beganMs < endMs) {
      await call();
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
    latencyMs: samplesMs.length === 0 ? NEVER : summarize(samplesMs),
    lost: running,
  };
}

/** What `work` answers, or `otherwise` after `ms`; a later failure of `work` is nobody's then. */
export async function within<Answer>(work: Promise<Answer>, ms: number, otherwise: Answer): Promise<Answer> {
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
