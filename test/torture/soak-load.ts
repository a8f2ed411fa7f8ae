/** What devices do all day: come, call, change their mind, go, and come again. */
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { type Client, Device, METHODS, Remotes } from "../../src/client/index.ts";
import { isGatehouseError } from "../../src/core/index.ts";
import type { SeededRandom } from "../support/seeded-random.ts";

/** Calls under way on a device's connection. */
const WORKERS = 4;
const THINK_MS_MAX = 120;
const VISIT_MS_MAX = 6_000;
/** So that a lost goodbye is noticed within the run. */
const IDLE_MS = 5_000;
const LOOK_UP_MS = 50;
const TIMEOUT_MS = 20_000;
const PATHS = 8;
const SMALL_BYTES = 200;
const LARGE_BYTES = 262_144;
/** Versions a path keeps: past these a put costs no more memory. */
const VERSIONS_KEPT = 32;
const WINDOW_MS_MAX = 2_000;
const HEARD_MS_MAX = 2_000;

type Op = (client: Client, device: SoakDevice) => Promise<unknown>;

interface Kind {
  readonly weight: number;
  readonly run: Op;
  /** Codes it may end with instead of an answer. */
  readonly mayFail: readonly string[];
}

const KINDS: Readonly<Record<string, Kind>> = {
  ping: { weight: 40, mayFail: [], run: (client) => client.call(METHODS.Health.Ping, {}, calm) },
  put: {
    weight: 14,
    mayFail: [],
    run: (client, device) => device.put(client, device.smallPath(), SMALL_BYTES),
  },
  get: {
    weight: 24,
    mayFail: [],
    run: (client, device) => client.call(METHODS.Vault.Get, { path: device.smallPath() }, calm),
  },
  list: {
    weight: 6,
    mayFail: [],
    run: (client, device) => client.call(METHODS.Vault.List, { prefix: device.folder }, calm),
  },
  "put-large": {
    weight: 1,
    mayFail: [],
    run: (client, device) => device.put(client, device.largePath, LARGE_BYTES),
  },
  "get-large": {
    weight: 4,
    mayFail: [],
    run: (client, device) => client.call(METHODS.Vault.Get, { path: device.largePath }, calm),
  },
  cancel: {
    weight: 6,
    mayFail: ["rpc.cancelled"],
    run: (client, device) => {
      const signal = AbortSignal.timeout(Math.ceil(device.random.next() * 10));
      return client.call(METHODS.Vault.Get, { path: device.largePath }, { ...calm, signal });
    },
  },
  deadline: {
    weight: 5,
    mayFail: ["rpc.deadline"],
    run: (client, device) =>
      client.call(METHODS.Vault.Get, { path: device.largePath }, { timeoutMs: 1 + device.random.next() * 3 }),
  },
};

const calm = { timeoutMs: TIMEOUT_MS };

/** Ends a call in flight when its device leaves. */
const LEAVING = ["quic.closed", "rpc.cancelled"];

/** How calls ended, by kind and code; what no kind expects is in `unexpected`. */
export class Tally {
  readonly byOutcome: Record<string, number> = {};
  readonly unexpected: Record<string, number> = {};

  done(kind: string, how = "ok"): void {
    this.#add(this.byOutcome, `${kind}: ${how}`);
  }

  failed(kind: string, failure: unknown, isExpected: (code: string) => boolean): void {
    const code = isGatehouseError(failure) ? failure.code : "not an error of ours";
    this.#add(this.byOutcome, `${kind}: ${code}`);
    if (!isExpected(code)) this.#add(this.unexpected, `${kind}: ${code}: ${String(failure)}`);
  }

  #add(counts: Record<string, number>, key: string): void {
    counts[key] = (counts[key] ?? 0) + 1;
  }
}

/** Everybody goes home when it is over. */
export interface Day {
  readonly isOver: boolean;
}

/** Looked at, not listened to: a signal that lives all day would keep something of every visit. */
class Visit {
  readonly #day: Day;
  readonly #untilMs: number;

  constructor(day: Day, forMs: number) {
    this.#day = day;
    this.#untilMs = performance.now() + forMs;
  }

  get isOver(): boolean {
    return this.#day.isOver || performance.now() >= this.#untilMs;
  }

  async over(): Promise<void> {
    while (!this.isOver) await delay(LOOK_UP_MS);
  }
}

export class SoakDevice {
  readonly folder: string;
  readonly random: SeededRandom;
  readonly #device: Device;
  readonly #tally: Tally;

  private constructor(device: Device, random: SeededRandom, tally: Tally) {
    this.#device = device;
    this.folder = `devices/${device.id}`;
    this.random = random;
    this.#tally = tally;
  }

  static async open(home: string, random: SeededRandom, tally: Tally): Promise<SoakDevice> {
    return new SoakDevice(await Device.open(home), random, tally);
  }

  get largePath(): string {
    return `${this.folder}/large`;
  }

  smallPath(): string {
    return `${this.folder}/small-${Math.floor(this.random.next() * PATHS)}`;
  }

  async put(client: Client, path: string, sizeBytes: number): Promise<void> {
    await client.call(METHODS.Vault.Put, { path, value: randomBytes(sizeBytes) }, calm);
  }

  /** Writes every path as often as versions are kept: from here on the vault's size stays what it is. */
  async fill(): Promise<void> {
    await using client = await this.#device.connect();
    for (let version = 0; version < VERSIONS_KEPT; version += 1) {
      const small = Array.from({ length: PATHS }, (_, index) =>
        this.put(client, `${this.folder}/small-${index}`, SMALL_BYTES),
      );
      await Promise.all([...small, this.put(client, this.largePath, LARGE_BYTES)]);
    }
  }

  /** From now on it reaches the gatehouse at `address`. */
  static async move(home: string, address: string): Promise<void> {
    const [remote] = await Remotes.of(home).list();
    if (remote === undefined) throw new Error("the device is not paired");
    await Remotes.of(home).set(remote.name, { address });
  }

  /** Visits until the day is over, each time with a connection of its own; some visits end with calls under way. */
  async live(day: Day): Promise<void> {
    while (!day.isOver) {
      const client = await this.#attempt("connect", [], () =>
        this.#device.connect({ idleMs: IDLE_MS, timeoutMs: TIMEOUT_MS }),
      );
      if (client === undefined) continue;
      const visit = new Visit(day, this.random.next() * VISIT_MS_MAX);
      const working = Array.from({ length: WORKERS }, () => this.#work(client, visit));
      if (this.random.next() < 0.5) await Promise.all(working);
      else await visit.over();
      await client[Symbol.asyncDispose]();
      await Promise.all(working);
    }
  }

  async #work(client: Client, visit: Visit): Promise<void> {
    while (!visit.isOver) {
      const [name, { run, mayFail }] = this.#pick();
      await this.#attempt(name, mayFail, () => run(client, this), visit);
      await delay(this.random.next() * THINK_MS_MAX);
    }
  }

  async #attempt<Answer>(
    name: string,
    mayFail: readonly string[],
    run: () => Promise<Answer>,
    visit?: Visit,
  ): Promise<Answer | undefined> {
    try {
      const answer = await run();
      this.#tally.done(name);
      return answer;
    } catch (failure) {
      const isLeaving = visit?.isOver === true;
      this.#tally.failed(
        name,
        failure,
        (code) => mayFail.includes(code) || (isLeaving && LEAVING.includes(code)),
      );
      return undefined;
    }
  }

  #pick(): readonly [string, Kind] {
    const kinds = Object.entries(KINDS);
    let at = this.random.next() * kinds.reduce((sum, [, { weight }]) => sum + weight, 0);
    for (const kind of kinds) {
      at -= kind[1].weight;
      if (at < 0) return kind;
    }
    throw new RangeError("no kind of call was picked");
  }
}

/** The owner opens pairing windows that nobody comes to, and watches them expire or gives them up. */
export async function watchWindows(
  home: string,
  random: SeededRandom,
  tally: Tally,
  day: Day,
): Promise<void> {
  await using owner = await (await Device.open(home)).connect();
  let leftAtMs = Number.NEGATIVE_INFINITY;
  while (!day.isOver) {
    const request = { uriOnly: true, ttlMs: 1_000 + Math.floor(random.next() * WINDOW_MS_MAX) };
    const givesUp = random.next() < 0.5;
    try {
      for await (const _event of owner.stream(METHODS.Pairing.Open, request, calm)) {
        if (givesUp || day.isOver) break;
      }
      tally.done("watch", givesUp ? "left" : "expired");
      if (givesUp) leftAtMs = performance.now();
    } catch (failure) {
      // A window closes when the gatehouse hears that its watcher has left.
      const hasJustLeft = performance.now() - leftAtMs < HEARD_MS_MAX;
      tally.failed("watch", failure, (code) => hasJustLeft && code === "pairing.window-open");
    }
    await delay(random.next() * THINK_MS_MAX);
  }
}
