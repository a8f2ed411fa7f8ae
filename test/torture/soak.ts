/**
 * `npm run torture -- soak [SECONDS [SEED]]`: several devices come and go at a real door over a link that loses 2 % each
 * way, and call whatever there is: pings, secrets small and large, watched windows, cancelled calls, missed deadlines.
 *
 * A JSON line for each look at the two processes, then the verdict. Ends with 1 when memory rose on either side, a timer,
 * handle or connection was left, a rejection went unhandled, or a call ended in a way that nothing explains.
 */
import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { pairFleet } from "../support/fleet.ts";
import { Install } from "../support/gatehouse-process.ts";
import { LossyRelay } from "../support/lossy-relay.ts";
import { type Figures, ProbedDaemon } from "../support/probed-daemon.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { SoakDevice, Tally, watchWindows } from "./soak-load.ts";
import { rise, type Sample } from "./trend.ts";

const SECONDS = 600;
const DEVICES = 6;
const LOSS = 0.02;
const LOOKS = 30;
const LOOK_EVERY_MS_MIN = 1_000;
/** Code is compiled, pools and caches fill: the first part of a run is not compared. */
const WARM_UP_SHARE = 0.3;
/** By the line through all looks after the warm-up, over the whole run, on each side. */
const HEAP_RISE_MIB_MAX = 8;
const RSS_RISE_MIB_MAX = 32;
/** Longer than the longest idle timeout in use. */
const SETTLE_MS = 40_000;

const MEASURES = ["door.rss", "door.heap", "client.rss", "client.heap"] as const;
type Measure = (typeof MEASURES)[number];

const [, , , secondsText = String(SECONDS), seedText = String(Date.now() % 2 ** 32)] = process.argv;
const seconds = Number(secondsText);
const seed = Number(seedText);
if (!(seconds >= 5)) throw new RangeError(`soak: SECONDS is a number from 5, not ${secondsText}`);

setFlagsFromString("--expose-gc");
const collectGarbage: unknown = runInNewContext("gc");

const unhandled: string[] = [];
process.on("unhandledRejection", (reason) => unhandled.push(String(reason)));

const failures = [...(await run()), ...unhandled.map((reason) => `unhandled rejection: ${reason}`)];
say({ verdict: failures.length === 0 ? "passed" : "failed", seed, failures });
process.exitCode = failures.length === 0 ? 0 : 1;

async function run(): Promise<readonly string[]> {
  await using install = await Install.create();
  await using door = await ProbedDaemon.serve(install, ["--init"]);
  const names = Array.from({ length: DEVICES }, (_, index) => `soak-${index}`);
  const homes = await pairFleet(install, door.daemon.address, names);
  const tally = new Tally();
  const devices = await Promise.all(
    homes.map((home, index) => SoakDevice.open(home, new SeededRandom(seed + index), tally)),
  );
  await Promise.all(devices.map((device) => device.fill()));
  const failures: string[] = [];
  const doorAtRest = await atRest(door);
  const handlesAtRest = handles();
  const looks = await soak({ install, door, homes, devices, tally });
  failures.push(...judgeMemory(looks), ...judgeCalls(tally));
  failures.push(...(await judgeLeftovers(door, doorAtRest, handlesAtRest)));
  if (!door.daemon.isRunning) failures.push(`the door died: ${door.daemon.stderr}`);
  else if ((await door.daemon.stop("SIGTERM")) !== 0) failures.push("the door did not end cleanly");
  return failures;
}

interface Site {
  readonly install: Install;
  readonly door: ProbedDaemon;
  readonly homes: readonly string[];
  readonly devices: readonly SoakDevice[];
  readonly tally: Tally;
}

type Looks = Readonly<Record<Measure, Sample[]>>;

/** Answers what was seen of both processes while the devices lived. */
async function soak({ install, door, homes, devices, tally }: Site): Promise<Looks> {
  const relayRandom = new SeededRandom(seed + DEVICES);
  await using relay = await LossyRelay.open({
    targetPort: door.daemon.port,
    loss: LOSS,
    random: relayRandom,
  });
  await Promise.all(homes.map((home) => SoakDevice.move(home, relay.address)));
  const day = { isOver: false };
  const living = Promise.all([
    ...devices.map((device) => device.live(day)),
    watchWindows(install.home, new SeededRandom(seed - 1), tally, day),
  ]);
  const looks: Looks = { "door.rss": [], "door.heap": [], "client.rss": [], "client.heap": [] };
  const everyMs = Math.max(LOOK_EVERY_MS_MIN, (seconds * 1_000) / LOOKS);
  for (const untilMs = performance.now() + seconds * 1_000; performance.now() < untilMs; ) {
    await Promise.race([delay(Math.min(everyMs, untilMs - performance.now())), living]);
    await look(door, looks, tally);
  }
  day.isOver = true;
  await living;
  say({ calls: tally.byOutcome, link: relay.counts });
  return looks;
}

async function look(door: ProbedDaemon, looks: Looks, tally: Tally): Promise<void> {
  const figures = await door.figures("collect");
  if (typeof collectGarbage === "function") collectGarbage();
  const { rss, heapUsed } = process.memoryUsage();
  const seen: Readonly<Record<Measure, number>> = {
    "door.rss": figures.rssMiB,
    "door.heap": figures.heapMiB,
    "client.rss": mebibytes(rss),
    "client.heap": mebibytes(heapUsed),
  };
  const atMs = performance.now();
  for (const measure of MEASURES) looks[measure].push({ atMs, value: seen[measure] });
  const calls = Object.values(tally.byOutcome).reduce((sum, count) => sum + count, 0);
  say({ ...seen, connections: figures.connections, calls, loopDelayMs: figures.loopDelayMs });
}

function judgeMemory(looks: Looks): readonly string[] {
  const rises = MEASURES.map((measure) => {
    const samples = looks[measure];
    return [measure, tenths(rise(samples.slice(Math.floor(samples.length * WARM_UP_SHARE))))] as const;
  });
  say({ roseMiB: Object.fromEntries(rises) });
  return rises
    .filter(([measure, mib]) => mib > (measure.endsWith("heap") ? HEAP_RISE_MIB_MAX : RSS_RISE_MIB_MAX))
    .map(([measure, mib]) => `${measure} rose by ${mib} MiB`);
}

function judgeCalls({ unexpected }: Tally): readonly string[] {
  return Object.entries(unexpected).map(([outcome, count]) => `${count} times ${outcome}`);
}

/** Everything must be as it was before the devices came, as soon as the last deadline has passed. */
async function judgeLeftovers(
  door: ProbedDaemon,
  before: Figures,
  handlesBefore: Readonly<Record<string, number>>,
): Promise<readonly string[]> {
  const startedMs = performance.now();
  let left: readonly string[];
  do {
    await delay(500);
    left = leftovers(await door.figures("collect"), before, handlesBefore);
  } while (left.length > 0 && performance.now() - startedMs < SETTLE_MS);
  say({ settledAfterMs: Math.round(performance.now() - startedMs), left });
  return left;
}

function leftovers(
  now: Figures,
  before: Figures,
  handlesBefore: Readonly<Record<string, number>>,
): readonly string[] {
  const left = [...grown("the door", before.resources, now.resources)];
  left.push(...grown("the clients", handlesBefore, handles()));
  if (now.connections > 0) left.push(`${now.connections} connections at the door`);
  return [...left, ...now.warnings];
}

function grown(
  where: string,
  before: Readonly<Record<string, number>>,
  now: Readonly<Record<string, number>>,
): readonly string[] {
  return Object.entries(now)
    .filter(([kind, count]) => count > (before[kind] ?? 0))
    .map(([kind, count]) => `${where}: ${count} of ${kind}, ${before[kind] ?? 0} at the start`);
}

/** The door with nobody at it. */
async function atRest(door: ProbedDaemon): Promise<Figures> {
  const startedMs = performance.now();
  let figures = await door.figures("collect");
  while (figures.connections > 0 && performance.now() - startedMs < SETTLE_MS) {
    await delay(200);
    figures = await door.figures("collect");
  }
  return figures;
}

function handles(): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

function mebibytes(bytes: number): number {
  return tenths(bytes / 1_048_576);
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
