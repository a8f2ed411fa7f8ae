import { isGatehouseError, type Random, type UnixMs } from "../../src/core/index.ts";
import {
  type JoinerFacts,
  type JoinerKeys,
  type PairingAttempt,
  type PairingGrant,
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
  /** The events themselves. */
  readonly told: PairingWindowEvent[];
}

type Passed = "code" | "ttlMs" | "random" | "requireApproval" | "findByName";

export interface TestWindowOptions extends Partial<Pick<PairingWindowOptions, Passed>> {
  readonly clock?: ManualClock;
  readonly store?: MemoryLimiterStore;
  readonly limiter?: PairingLimiter;
}

export async function openWindow(options: TestWindowOptions = {}): Promise<TestWindow> {
  const clock = options.clock ?? new ManualClock();
  const store = options.store ?? new MemoryLimiterStore();
  const limiter = options.limiter ?? (await PairingLimiter.open(store, clock));
  const events: PairingWindowEvent["kind"][] = [];
  const told: PairingWindowEvent[] = [];
  const window = PairingWindow.open({
    ...{ random: new SeededRandom(7), role: "member" },
    ...options,
    ...{ clock, limiter },
    onEvent: (event) => {
      told.push(event);
      events.push(event.kind);
    },
  });
  return { window, clock, store, limiter, events, told };
}

/** The code that a window draws from `random`. */
export async function codeOf(random: Random): Promise<string> {
  const { window } = await openWindow({ random });
  using _window = window;
  return window.code ?? "";
}

const keysOf = (fill: number): JoinerKeys => ({
  identityKey: new Uint8Array(32).fill(fill),
  tlsKeyHash: new Uint8Array(32).fill(fill),
});
export const ALICE = keysOf(1);
export const MALLORY = keysOf(2);

export const FACTS: JoinerFacts = {
  deviceId: "alice",
  name: "laptop",
  kind: "cli",
  platform: "linux x64",
  replace: false,
  remoteAddress: "192.0.2.1",
};

export const GRANT: PairingGrant = {
  deviceId: "alice",
  name: "laptop",
  role: "member",
  certificate: Uint8Array.of(1),
  caCertificates: [Uint8Array.of(2)],
};

/** Proves the secret and says who it is; answers how long somebody is asked. */
export async function introduce(
  attempt: PairingAttempt,
  facts: Partial<JoinerFacts> = {},
): Promise<number | undefined> {
  await attempt.prove(true);
  return attempt.ask({ ...FACTS, ...facts });
}

/** The code of what `run` throws, or `none`. */
export function refusalOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return isGatehouseError(error) ? error.code : "another error";
  }
  return "none";
}

export async function failureOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => "none",
    (error: unknown) => (isGatehouseError(error) ? error.code : "another error"),
  );
}
