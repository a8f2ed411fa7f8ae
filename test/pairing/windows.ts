import type { Random, UnixMs } from "../../src/core/index.ts";
import {
  PairingLimiter,
  type PairingLimiterStore,
  PairingWindow,
  type PairingWindowEvent,
  type PairingWindowOptions,
} from "../../src/pairing/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";

/** Remembers over "restarts": hand the same one to the next limiter. */
export class MemoryLimiterStore implements PairingLimiterStore {
  readonly times: UnixMs[] = [];
  /** While set, storing waits for it. */
  gate: Promise<void> | undefined;
  failure: Error | undefined;

  load(): Promise<readonly UnixMs[]> {
    return Promise.resolve([...this.times]);
  }

  async recordBurnt(at: UnixMs): Promise<void> {
    await this.gate;
    if (this.failure !== undefined) throw this.failure;
    this.times.push(at);
  }
}

export interface TestWindow {
  readonly window: PairingWindow;
  readonly clock: ManualClock;
  readonly store: MemoryLimiterStore;
  readonly limiter: PairingLimiter;
  /** Kinds of the events so far. */
  readonly events: PairingWindowEvent["kind"][];
}

export interface TestWindowOptions extends Partial<Pick<PairingWindowOptions, "code" | "ttlMs" | "random">> {
  readonly clock?: ManualClock;
  readonly store?: MemoryLimiterStore;
  readonly limiter?: PairingLimiter;
}

export async function openWindow(options: TestWindowOptions = {}): Promise<TestWindow> {
  const clock = options.clock ?? new ManualClock();
  const store = options.store ?? new MemoryLimiterStore();
  const limiter = options.limiter ?? (await PairingLimiter.open(store, clock));
  const events: PairingWindowEvent["kind"][] = [];
  const window = PairingWindow.open({
    clock,
    limiter,
    random: options.random ?? new SeededRandom(7),
    role: "member",
    ...(options.ttlMs === undefined ? {} : { ttlMs: options.ttlMs }),
    ...(options.code === undefined ? {} : { code: options.code }),
    onEvent: ({ kind }) => void events.push(kind),
  });
  return { window, clock, store, limiter, events };
}

/** The code that a window draws from `random`. */
export async function codeOf(random: Random): Promise<string> {
  const { window } = await openWindow({ random });
  using _window = window;
  return window.code ?? "";
}
