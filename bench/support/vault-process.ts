/** One contender of the vault suite, in a process of its own. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { type Entry, openSecretStore, type SecretStore, type StoreName } from "../peers/secret-store.ts";
import { answerRequests } from "./worker-process.ts";

/** How puts reach the disk: as they come, so many in flight; or so many in one transaction. */
export type PutShape = { readonly inFlight: number } | { readonly together: number };

/** What goes on beside the load whose longest pause is looked for. */
export type Beside = "nothing" | "checkpoint" | "capture";

export type VaultRequest =
  | { readonly kind: "open"; readonly name: StoreName; readonly dir: string }
  | { readonly kind: "close" }
  /** Secrets 0 to `count`, as fast as it goes. */
  | { readonly kind: "fill"; readonly count: number }
  | { readonly kind: "puts"; readonly shape: PutShape; readonly durationMs: number }
  /** Every secret once, in an order of its own. */
  | { readonly kind: "reads-once"; readonly count: number }
  | { readonly kind: "reads"; readonly count: number; readonly durationMs: number }
  | { readonly kind: "checkpoint" }
  | { readonly kind: "pause"; readonly beside: Beside; readonly count: number; readonly durationMs: number }
  /** Opens, and reads one secret. */
  | { readonly kind: "first-read"; readonly name: StoreName; readonly dir: string; readonly count: number };

export interface Rate {
  readonly count: number;
  readonly durationMs: number;
}

export interface Pause {
  /** Longest time between two ticks of a timer of 1 ms. */
  readonly longestMs: number;
  readonly p99Ms: number;
  /** What went on beside the load took so long. */
  readonly besideMs: number;
  /** Puts and gets of the load. */
  readonly done: number;
  readonly durationMs: number;
}

export interface FirstRead {
  readonly durationMs: number;
  readonly residentBytesBefore: number;
  readonly residentBytes: number;
}

const VALUE_BYTES = 200;
const FILL_TOGETHER = 500;
const PAUSE_LANES = 16;
const SETTLE_MS = 500;

let store: SecretStore | undefined;
/** Puts make new secrets, above all that were filled in. */
let next = 0;

answerRequests(async (request): Promise<object> => {
  const order = request as VaultRequest;
  switch (order.kind) {
    case "open":
      store = await openSecretStore(order.name, order.dir);
      return {};
    case "close":
      await opened()[Symbol.asyncDispose]();
      store = undefined;
      return {};
    case "fill":
      await fill(order.count);
      return {};
    case "puts":
      return await timed((ends) => putUntil(ends, order.shape), order.durationMs);
    case "reads-once":
      return await readOnce(order.count);
    case "reads":
      return await timed((ends) => readUntil(ends, order.count), order.durationMs);
    case "checkpoint":
      await opened().checkpoint();
      return {};
    case "pause":
      return await pauseBeside(order);
    case "first-read":
      return await firstRead(order);
  }
});

function opened(): SecretStore {
  if (store === undefined) throw new Error("nothing is open");
  return store;
}

function pathOf(number: number): string {
  return `bench/team-${number % 97}/secret-${String(number).padStart(7, "0")}`;
}

/** Its own bytes for each, so that a mixed-up answer would be seen. */
function valueFor(number: number): Uint8Array {
  const value = new Uint8Array(VALUE_BYTES).fill(number & 0xff);
  new DataView(value.buffer).setUint32(0, number);
  return value;
}

async function fill(count: number): Promise<void> {
  const shape =
    opened().putTogether === undefined ? { inFlight: FILL_TOGETHER } : { together: FILL_TOGETHER };
  const from = next;
  await putAll(shape, () => next < from + count);
}

async function putUntil(ends: number, shape: PutShape): Promise<number> {
  const from = next;
  await putAll(shape, () => performance.now() < ends);
  return next - from;
}

async function putAll(shape: PutShape, goesOn: () => boolean): Promise<void> {
  const to = opened();
  if ("inFlight" in shape) {
    await lanes(shape.inFlight, goesOn, () => to.put(...entryOf(next++)));
    return;
  }
  while (goesOn()) {
    const entries = Array.from({ length: shape.together }, (): Entry => {
      const [path, value] = entryOf(next++);
      return { path, value };
    });
    await to.putTogether?.(entries);
  }
}

async function readUntil(ends: number, count: number): Promise<number> {
  let reads = 0;
  while (performance.now() < ends) {
    await readChecked(Math.floor(Math.random() * count));
    reads += 1;
  }
  return reads;
}

async function readOnce(count: number): Promise<Rate> {
  const order = shuffled(count);
  const began = performance.now();
  for (const number of order) await readChecked(number);
  return { count, durationMs: performance.now() - began };
}

async function readChecked(number: number): Promise<void> {
  const value = await opened().get(pathOf(number));
  const isRight =
    value.length === VALUE_BYTES &&
    new DataView(value.buffer, value.byteOffset).getUint32(0) === number &&
    value[VALUE_BYTES - 1] === (number & 0xff);
  if (!isRight) throw new Error(`${pathOf(number)} came back as something else`);
}

async function pauseBeside(order: Extract<VaultRequest, { readonly kind: "pause" }>): Promise<Pause> {
  const { beside, count, durationMs } = order;
  let isOver = false;
  let done = 0;
  const load = lanes(
    PAUSE_LANES,
    () => !isOver,
    async () => {
      await opened().put(...entryOf(next++));
      await readChecked(Math.floor(Math.random() * count));
      done += 2;
      // Those that answer at once would never let the timer run.
      await setImmediate();
    },
  );
  await sleep(SETTLE_MS);
  const delays = monitorEventLoopDelay({ resolution: 1 });
  delays.enable();
  done = 0;
  const began = performance.now();
  await doBeside(beside);
  const besideMs = performance.now() - began;
  await sleep(Math.max(0, durationMs - besideMs));
  delays.disable();
  const took = performance.now() - began;
  const figures = { longestMs: delays.max / 1e6, p99Ms: delays.percentile(99) / 1e6, besideMs, done };
  isOver = true;
  await load;
  return { ...figures, durationMs: took };
}

async function doBeside(beside: Beside): Promise<void> {
  if (beside === "checkpoint") await opened().checkpoint();
  if (beside === "capture") await opened().capture?.();
}

async function firstRead(order: Extract<VaultRequest, { readonly kind: "first-read" }>): Promise<FirstRead> {
  const residentBytesBefore = process.memoryUsage.rss();
  const began = performance.now();
  store = await openSecretStore(order.name, order.dir);
  await readChecked(Math.floor(Math.random() * order.count));
  const durationMs = performance.now() - began;
  return { durationMs, residentBytesBefore, residentBytes: process.memoryUsage.rss() };
}

async function timed(run: (ends: number) => Promise<number>, durationMs: number): Promise<Rate> {
  const began = performance.now();
  const count = await run(began + durationMs);
  return { count, durationMs: performance.now() - began };
}

async function lanes(count: number, goesOn: () => boolean, once: () => Promise<void>): Promise<void> {
  const lane = async (): Promise<void> => {
    while (goesOn()) await once();
  };
  await Promise.all(Array.from({ length: count }, lane));
}

function entryOf(number: number): [path: string, value: Uint8Array] {
  return [pathOf(number), valueFor(number)];
}

function shuffled(count: number): readonly number[] {
  const numbers = Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last -= 1) {
    const other = Math.floor(Math.random() * (last + 1));
    [numbers[last], numbers[other]] = [numbers[other] ?? 0, numbers[last] ?? 0];
  }
  return numbers;
}
