import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Resources } from "../../src/core/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { sendGarbage } from "../support/garbage-datagrams.ts";
import { type Daemon, Install } from "../support/gatehouse-process.ts";
import { OwnerDoor } from "../support/owner-door.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { UdpRelay } from "../support/udp-relay.ts";

const DATAGRAMS = 5_000;
const AT_ONCE_MS = 1_000;
const PAYLOAD = Uint8Array.from({ length: 64 }, (_, index) => index);

const resources = new Resources();
let install: Install;
let daemon: Daemon;

/** One call over a connection of its own; answers how long the two took. */
async function callOnce(port: number): Promise<number> {
  const startedMs = performance.now();
  await using door = await OwnerDoor.open(install.home, port);
  const { payload } = await door.call(METHODS.Health.Ping, { payload: PAYLOAD });
  expect(new Uint8Array(payload)).toEqual(PAYLOAD);
  return performance.now() - startedMs;
}

/** What an honest client sends for a connection and one call. */
async function captureHonest(): Promise<readonly Uint8Array[]> {
  await using relay = await UdpRelay.open(daemon.port);
  await callOnce(relay.port);
  expect(relay.captured.length).toBeGreaterThan(2);
  return relay.captured;
}

beforeAll(async () => {
  install = resources.use(await Install.create());
  daemon = resources.use(await install.serve(["--init"]));
});

afterAll(() => resources[Symbol.asyncDispose]());

describe("a daemon under garbage", () => {
  it("serves a good client at once after thousands of random and mutated datagrams", async () => {
    const real = await captureHonest();
    await sendGarbage({ port: daemon.port, count: DATAGRAMS, random: new SeededRandom(5), real });
    expect(await callOnce(daemon.port)).toBeLessThan(AT_ONCE_MS);
    expect(daemon.isRunning).toBe(true);
  });

  it("serves a client whose own Initials are replayed over and over", async () => {
    const real = await captureHonest();
    const first = real.slice(0, 2);
    for (let round = 0; round < 100; round += 1) {
      await sendGarbage({ port: daemon.port, count: 4, random: new SeededRandom(round), real: first });
    }
    expect(await callOnce(daemon.port)).toBeLessThan(AT_ONCE_MS);
  });

  it("keeps a connection that was open before the garbage came", async () => {
    const real = await captureHonest();
    await using door = await OwnerDoor.open(install.home, daemon.port);
    await door.call(METHODS.Health.Ping, { payload: PAYLOAD });
    await sendGarbage({ port: daemon.port, count: 1_000, random: new SeededRandom(6), real });
    const { payload } = await door.call(METHODS.Health.Ping, { payload: PAYLOAD });
    expect(new Uint8Array(payload)).toEqual(PAYLOAD);
  });
});
