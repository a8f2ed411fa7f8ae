import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect, joinGatehouse, METHODS, Remotes } from "../../src/client/index.ts";
import { isGatehouseError, silentLogger, systemRandom } from "../../src/core/index.ts";
import { Daemon, type PairingDoorEvent } from "../../src/daemon/index.ts";
import { isLong } from "../support/effort.ts";
import { impatientClock } from "../support/impatient-clock.ts";
import { type LinkCut, UdpRelay } from "../support/udp-relay.ts";

const TIMEOUT_MS = 1_500;
/** A machine that does other things too. */
const SLACK_MS = 3_000;
const AT_ONCE = 8;
const DATAGRAMS_MAX = 40;

let root: string;
let count = 0;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "gatehouse-cut-"));
});

afterEach(() => rm(root, { recursive: true, force: true }));

/** A gatehouse of its own with an open window, and a link to it that goes dead where `cut` says. */
async function openGatehouse(cut: LinkCut) {
  count += 1;
  const dir = join(root, String(count));
  const daemon = await Daemon.start({
    ...{ home: join(dir, "gatehouse"), keyDir: join(dir, "keys"), version: "0.0.0", pid: 1 },
    ...{ listen: [{ host: "127.0.0.1", port: 0 }], init: { name: "kitchen" } },
    ...{ clock: impatientClock, random: systemRandom, logger: silentLogger },
  });
  const events = daemon.openPairing({}, new AbortController().signal)[Symbol.asyncIterator]();
  const { value: opened } = await events.next();
  if (opened?.kind !== "opened" || opened.code === undefined) throw new Error("the window did not open");
  const relay = await UdpRelay.open(Number(daemon.ready.quic.split(":").at(-1)), cut);
  return {
    ...{ dir, daemon, relay, code: opened.code },
    /** How the window ended. */
    ended: async (): Promise<PairingDoorEvent["kind"] | undefined> => (await events.next()).value?.kind,
    [Symbol.asyncDispose]: async () => {
      await relay[Symbol.asyncDispose]();
      await daemon[Symbol.asyncDispose]();
    },
  };
}

type Gatehouse = Awaited<ReturnType<typeof openGatehouse>>;

/** Joins from the home `name`; answers `joined` or the error's code, never later than the timeout asks for. */
async function tryJoin({ dir }: Gatehouse, name: string, target: string, code: string): Promise<string> {
  const startedMs = performance.now();
  const device = { home: join(dir, name), name, kind: "test", platform: "test" };
  const ended = await joinGatehouse({ ...device, target, code, timeoutMs: TIMEOUT_MS }).then(
    () => "joined",
    (failure: unknown) => (isGatehouseError(failure) ? failure.code : String(failure)),
  );
  expect(performance.now() - startedMs).toBeLessThan(TIMEOUT_MS + SLACK_MS);
  return ended;
}

/** Over a whole link, and again while the gatehouse still waits for what the dead one left. */
async function joinDirectly(gatehouse: Gatehouse, name: string): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    const ended = await tryJoin(gatehouse, name, gatehouse.daemon.ready.quic, gatehouse.code);
    if (ended !== "pairing.busy" || attempt === 5) return ended;
  }
}

/** What `attempt` came to for each place where the link can be cut, up to the first that `isLast`. */
async function forEachCut<Result>(
  direction: LinkCut["direction"],
  attempt: (gatehouse: Gatehouse) => Promise<Result>,
  isLast: (result: Result) => boolean,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  while (!results.some(isLast)) {
    if (results.length >= DATAGRAMS_MAX) throw new Error("never got so far");
    const cuts = Array.from({ length: AT_ONCE }, (_, index) => ({
      direction,
      count: results.length + index,
    }));
    const some = cuts.map(async (cut) => {
      await using gatehouse = await openGatehouse(cut);
      return await attempt(gatehouse);
    });
    results.push(...(await Promise.all(some)));
  }
  return results;
}

function anotherCode(code: string): string {
  return String((Number(code) + 1) % 1_000_000).padStart(6, "0");
}

async function activeDevices({ dir }: Gatehouse): Promise<number> {
  await using owner = await connect({ home: join(dir, "gatehouse") });
  return (await owner.call(METHODS.Health.Status, {})).devices;
}

/** The status as the device `name` gets it, at the address where nobody cuts. */
async function devicesSeenBy({ dir, daemon }: Gatehouse, name: string): Promise<number> {
  const home = join(dir, name);
  await Remotes.of(home).set("kitchen", { address: daemon.ready.quic });
  await using device = await connect({ home });
  return (await device.call(METHODS.Health.Status, {})).devices;
}

async function honest(gatehouse: Gatehouse) {
  const first = await tryJoin(gatehouse, "laptop", gatehouse.relay.address, gatehouse.code);
  const next = first === "joined" ? "not needed" : await joinDirectly(gatehouse, "laptop");
  const ended = await gatehouse.ended();
  return { first, next, ended, devices: await devicesSeenBy(gatehouse, "laptop") };
}

async function wrong(gatehouse: Gatehouse) {
  const guess = anotherCode(gatehouse.code);
  const first = await tryJoin(gatehouse, "thief", gatehouse.relay.address, guess);
  const right = await joinDirectly(gatehouse, "laptop");
  const ended = await gatehouse.ended();
  const learned = await Remotes.of(join(gatehouse.dir, "thief")).list();
  return { first, right, ended, learned: learned.length, devices: await activeDevices(gatehouse) };
}

describe.each(isLong ? (["to-server", "to-client"] as const) : (["to-client"] as const))(
  "a link that goes dead after any datagram %s",
  (direction) => {
    it("leaves an honest joiner with a clear error, and the window good for its next try", async () => {
      const results = await forEachCut(direction, honest, ({ first }) => first === "joined");
      const through = { ended: "paired", devices: 2 };
      for (const result of results) {
        expect([
          { first: "quic.timed-out", next: "joined", ...through },
          { first: "joined", next: "not needed", ...through },
        ]).toContainEqual(result);
      }
      expect(results.filter(({ first }) => first !== "joined").length).toBeGreaterThan(4);
    }, 40_000);

    it("gives whoever guesses wrongly one guess at most, whether or not its answer got through", async () => {
      const notSeen = { first: "quic.timed-out", right: "joined", ended: "paired", learned: 0, devices: 2 };
      const seen = { right: "pairing.closed", ended: "burnt", learned: 0, devices: 1 };
      const unanswered = { first: "quic.timed-out", ...seen };
      const answered = { first: "pairing.wrong-code", ...seen };
      // One datagram carries the answer, and one of the cuts comes right before it, unless two runs differ by a datagram.
      for (let isHidden = direction === "to-server", tries = 0; tries === 0 || !isHidden; tries += 1) {
        expect(tries).toBeLessThan(4);
        const results = await forEachCut(direction, wrong, ({ first }) => first === answered.first);
        for (const result of results) expect([notSeen, unanswered, answered]).toContainEqual(result);
        expect(results).toContainEqual(notSeen);
        isHidden ||= results.some(({ first, ended }) => first === "quic.timed-out" && ended === "burnt");
      }
    }, 120_000);
  },
);
