/** A phone that walks: its address changes under calls, by its own doing and behind its back. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Client, Device, METHODS } from "../../src/client/index.ts";
import { silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { Daemon } from "../../src/daemon/index.ts";
import { times } from "../support/effort.ts";
import { pairFleet } from "../support/fleet.ts";
import { NatRelay } from "../support/nat-relay.ts";

const CALLS = times({ short: 2_000, long: 10_000 });
const IN_FLIGHT = 8;
const MIGRATIONS = CALLS / 200;
const REBINDINGS = 6 * MIGRATIONS;

let dir: string;
let daemon: Daemon;
let relay: NatRelay;
let phone: Device;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "gatehouse-mobility-"));
  daemon = await Daemon.start({
    ...{ clock: systemClock, random: systemRandom, logger: silentLogger },
    ...{ home: join(dir, "home"), keyDir: join(dir, "keys"), version: "0.0.0", pid: 1 },
    listen: [{ host: "127.0.0.1", port: 0 }],
    init: { name: "gatehouse" },
  });
  relay = await NatRelay.open(Number(daemon.ready.quic.split(":")[1]));
  const [home = ""] = await pairFleet({ home: join(dir, "home"), root: dir }, relay.address, ["phone"]);
  phone = await Device.open(home);
});

afterAll(async () => {
  await relay[Symbol.asyncDispose]();
  await daemon[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

/** Calls made so far, what failed, and the longest wait. */
class Walk {
  done = 0;
  longestMs = 0;
  readonly failures: unknown[] = [];
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Until so many calls were begun, or for as long as `goesOn` says. */
  async run(goesOn: (begun: number) => boolean): Promise<void> {
    let begun = 0;
    const caller = async (): Promise<void> => {
      for (begun += 1; goesOn(begun); begun += 1) await this.#call();
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
  }

  async #call(): Promise<void> {
    const startedMs = performance.now();
    try {
      await this.#client.call(METHODS.Health.Ping, { payload: Buffer.alloc(64) });
    } catch (failure) {
      this.failures.push(failure);
    }
    this.longestMs = Math.max(this.longestMs, performance.now() - startedMs);
    this.done += 1;
  }

  /** Resolves when so many calls are done. */
  async reached(count: number): Promise<void> {
    while (this.done < Math.min(count, CALLS)) await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("a phone on the move", () => {
  it("loses no call while it migrates every 200 calls and its NAT forgets it six times as often", async () => {
    await using client = await phone.connect();
    const walk = new Walk(client);
    const walking = walk.run((begun) => begun <= CALLS);
    const changes = MIGRATIONS + REBINDINGS;
    let migrated = 0;
    for (let change = 1; change <= changes; change += 1) {
      await walk.reached((CALLS * change) / (changes + 1));
      if (change % (changes / MIGRATIONS) !== 0) relay.rebind();
      else {
        await client.migrate();
        migrated += 1;
      }
    }
    await walking;
    process.stdout.write(
      `mobility: ${walk.done} calls, ${migrated} migrations, ${changes - migrated} rebindings, ` +
        `${walk.failures.length} failed, longest stall ${walk.longestMs.toFixed(1)} ms\n`,
    );
    expect(walk.failures).toEqual([]);
    expect([walk.done, migrated]).toEqual([CALLS, MIGRATIONS]);
  }, 120_000);

  it("loses none while it changes now and then, as phones do", async () => {
    await using client = await phone.connect();
    const walk = new Walk(client);
    let isOver = false;
    const walking = walk.run(() => !isOver);
    for (let change = 1; change <= 30; change += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      if (change % 3 === 0) await client.migrate();
      else relay.rebind();
    }
    await new Promise((resolve) => setTimeout(resolve, 300));
    isOver = true;
    await walking;
    process.stdout.write(
      `mobility: ${walk.done} calls, 10 migrations, 20 rebindings 100 ms apart, ` +
        `${walk.failures.length} failed, longest stall ${walk.longestMs.toFixed(1)} ms\n`,
    );
    expect(walk.failures).toEqual([]);
    expect(walk.done).toBeGreaterThan(1_000);
  }, 60_000);
});
