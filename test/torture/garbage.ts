/**
 * 100 000 random and mutated datagrams at a daemon's port, with the door strict and with a pairing window open, while
 * good clients come and go. Prints one JSON line of figures for each.
 */
import { METHODS } from "../../src/gen/index.ts";
import { sendGarbage } from "../support/garbage-datagrams.ts";
import { Install } from "../support/gatehouse-process.ts";
import { OwnerDoor } from "../support/owner-door.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { UdpRelay } from "../support/udp-relay.ts";
import { droppedByKernel, residentKiB } from "./kernel.ts";

const DATAGRAMS = 100_000;
const ROUNDS = 10;
const PAYLOAD = new Uint8Array(64);

const seed = Number(process.argv[3] ?? Date.now() % 2 ** 32);
for (const flags of [[], ["--open-pairing"]]) {
  process.stdout.write(`${JSON.stringify(await torture(flags))}\n`);
}

async function torture(flags: readonly string[]): Promise<object> {
  await using install = await Install.create();
  await using daemon = await install.serve(["--init", ...flags]);
  const real = await captureHonest(install, daemon.port);
  const random = new SeededRandom(seed);
  const before = await residentKiB(daemon.pid);
  const startedMs = performance.now();
  const served: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    await sendGarbage({ port: daemon.port, count: DATAGRAMS / ROUNDS, random, real });
    served.push(await callOnce(install, daemon.port));
  }
  return {
    ...{ flags, seed, datagrams: DATAGRAMS, droppedByKernel: await droppedByKernel(daemon.port) },
    seconds: tenths((performance.now() - startedMs) / 1_000),
    goodClientMs: served.map(tenths),
    residentKiB: { before, after: await residentKiB(daemon.pid) },
    exitAfterSigterm: await daemon.stop("SIGTERM"),
  };
}

/** One call over a connection of its own; answers how long the two took. */
async function callOnce(install: Install, port: number): Promise<number> {
  const beganMs = performance.now();
  await using door = await OwnerDoor.open(install.home, port);
  await door.call(METHODS.Health.Ping, { payload: PAYLOAD });
  return performance.now() - beganMs;
}

async function captureHonest(install: Install, port: number): Promise<readonly Uint8Array[]> {
  await using relay = await UdpRelay.open(port);
  await callOnce(install, relay.port);
  return relay.captured;
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}
