/** A paired device that behaves: what its calls take, on a connection it keeps and on ones it makes anew. */
import { type Client, Device, METHODS } from "../../src/client/index.ts";
import { percentiles } from "../../src/measure/index.ts";

const PING_EVERY_MS = 50;
const CONNECT_EVERY_MS = 250;
const TIMEOUT_MS = 10_000;
const PAYLOAD = new Uint8Array(64);

export interface Latencies {
  /** Medians over the windows of each window's percentile, milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly samples: number;
}

export interface Service {
  readonly ping: Latencies;
  /** Connecting and the first reply. */
  readonly connect: Latencies;
  /** Codes of calls that failed. */
  readonly failures: readonly string[];
}

export class GoodClient implements AsyncDisposable {
  readonly #device: Device;
  readonly #kept: Client;

  private constructor(device: Device, kept: Client) {
    this.#device = device;
    this.#kept = kept;
  }

  static async open(home: string): Promise<GoodClient> {
    const device = await Device.open(home);
    return new GoodClient(device, await device.connect());
  }

  /** Pings and connects at a fixed beat, whatever became of the ones before, for `windows` of `windowMs` each. */
  async measure(windowMs: number, windows: number): Promise<Service> {
    const pings: number[][] = [];
    const connects: number[][] = [];
    const failures: string[] = [];
    for (let window = 0; window < windows; window += 1) {
      const [pinged, connected] = await Promise.all([
        beat(PING_EVERY_MS, windowMs, failures, () => this.#ping(this.#kept)),
        beat(CONNECT_EVERY_MS, windowMs, failures, () => this.#connect()),
      ]);
      pings.push(pinged);
      connects.push(connected);
    }
    return { ping: latencies(pings), connect: latencies(connects), failures };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#kept[Symbol.asyncDispose]();
  }

  async #ping(client: Client): Promise<void> {
    await client.call(METHODS.Health.Ping, { payload: PAYLOAD }, { timeoutMs: TIMEOUT_MS });
  }

  async #connect(): Promise<void> {
    await using client = await this.#device.connect({ timeoutMs: TIMEOUT_MS });
    await this.#ping(client);
  }
}

/** Starts `work` every `everyMs`; answers how long each took until it was done. */
async function beat(
  everyMs: number,
  forMs: number,
  failures: string[],
  work: () => Promise<void>,
): Promise<number[]> {
  const took: number[] = [];
  const timed = async (): Promise<void> => {
    const startedMs = performance.now();
    try {
      await work();
      took.push(performance.now() - startedMs);
    } catch (failure) {
      failures.push(failure instanceof Error && "code" in failure ? String(failure.code) : String(failure));
    }
  };
  const running: Promise<void>[] = [];
  const startedMs = performance.now();
  for (let count = 0; count * everyMs < forMs; count += 1) {
    running.push(timed());
    const waitMs = startedMs + (count + 1) * everyMs - performance.now();
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, waitMs)));
  }
  await Promise.all(running);
  return took;
}

function latencies(windows: readonly (readonly number[])[]): Latencies {
  const each = windows.filter(({ length }) => length > 0).map(percentiles);
  return {
    p50: hundredths(median(each.map(({ p50 }) => p50))),
    p99: hundredths(median(each.map(({ p99 }) => p99))),
    max: hundredths(Math.max(...each.map(({ max }) => max))),
    samples: windows.reduce((sum, { length }) => sum + length, 0),
  };
}

/** Infinite when there is nothing: a client that was never served is not well served. */
function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.POSITIVE_INFINITY;
}

function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}
