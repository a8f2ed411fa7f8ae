/** What the client of the lossy suite does on its connections. Milliseconds; a measure past its patience did not finish. */
import type { Caller, ContenderClient, Operation, Start } from "../contender.ts";
import { summarize } from "../support/percentiles.ts";

/** Past it, a figure is DNF. */
export const PATIENCE_MS = 60_000;

/** Pings of 64 KiB at once, up and back. */
const TRANSFER_CALLS = 64;

export interface ConnectsOrder {
  /** `cold`: a client that never connected before. `again`: one that was connected a moment ago. */
  readonly start: "cold" | "again";
  /** No connection is begun after so long, or past so many. */
  readonly durationMs: number;
  readonly countMax: number;
  /** Side by side. */
  readonly lanes: number;
}

export interface ConnectSample {
  /** Undefined when it failed or took too long. */
  readonly establishedMs?: number;
  readonly firstReplyMs?: number;
  readonly start?: Start;
}

export interface CallsOrder {
  readonly operation: Operation;
  readonly inFlight: number;
  readonly warmupMs: number;
  readonly durationMs: number;
}

export interface CallsSample {
  /** Finished in the time, by the time. */
  readonly callsPerSecond: number;
  /** Of all calls begun in the time, however long they took. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** `open` yields a client for one sample, made ready before its time starts. */
export async function connects(
  open: () => Promise<ContenderClient>,
  { start, durationMs, countMax, lanes }: ConnectsOrder,
): Promise<readonly ConnectSample[]> {
  const samples: ConnectSample[] = [];
  const endMs = performance.now() + durationMs;
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (begun < countMax && performance.now() < endMs) {
      begun += 1;
      const client = await open();
      if (start === "again") await connectOnce(client);
      samples.push(await connectOnce(client));
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return samples;
}

/** A closed loop: a finished call starts the next. Undefined when a call was still out `PATIENCE_MS` after the end. */
export async function calls(caller: Caller, order: CallsOrder): Promise<CallsSample | undefined> {
  const samplesMs: number[] = [];
  let finished = 0;
  const fromMs = performance.now() + order.warmupMs;
  const endMs = fromMs + order.durationMs;
  const worker = async (): Promise<void> => {
    for (let beganMs = performance.now(), doneMs = 0; beganMs < endMs; beganMs = doneMs) {
      await caller.call(order.operation);
      doneMs = performance.now();
      if (beganMs >= fromMs) samplesMs.push(doneMs - beganMs);
      if (doneMs >= fromMs && doneMs <= endMs) finished += 1;
    }
  };
  const workers = Promise.all(Array.from({ length: order.inFlight }, worker));
  const isDone = await inTime(workers, order.warmupMs + order.durationMs + PATIENCE_MS);
  if (!isDone || samplesMs.length === 0) return undefined;
  const { p50, p99 } = summarize(samplesMs);
  return { callsPerSecond: (finished / order.durationMs) * 1_000, p50Ms: p50, p99Ms: p99 };
}

/** 4 MiB up and back, milliseconds; undefined when it does not finish. */
export async function transfer(caller: Caller): Promise<number | undefined> {
  const startedMs = performance.now();
  const pings = Promise.all(Array.from({ length: TRANSFER_CALLS }, () => caller.call("ping-64k")));
  return (await inTime(pings, PATIENCE_MS)) ? performance.now() - startedMs : undefined;
}

async function connectOnce(client: ContenderClient): Promise<ConnectSample> {
  const startedMs = performance.now();
  const sample: { -readonly [Field in keyof ConnectSample]: ConnectSample[Field] } = {};
  let caller: Caller | undefined;
  const elapsedMs = (): number => performance.now() - startedMs;
  const work = async (): Promise<void> => {
    caller = await client.connect();
    const [open, connectedMs] = [caller, elapsedMs()];
    const established = open.established?.().then(() => {
      sample.establishedMs = elapsedMs();
    });
    const asked = open.call("ping").then(() => {
      sample.firstReplyMs = elapsedMs();
    });
    await Promise.all([established, asked]);
    sample.start = open.start?.() ?? "cold";
    // With a ticket `connect` does not wait for the handshake.
    sample.establishedMs ??= Math.max(connectedMs, open.handshakeMs?.() ?? 0);
  };
  await inTime(work(), PATIENCE_MS).catch(() => false);
  await caller?.[Symbol.asyncDispose]();
  return { ...sample };
}

/** Whether `work` ended within `ms`. A failure of `work` is the caller's; a later one is nobody's. */
export async function inTime(work: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
