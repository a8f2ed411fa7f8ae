/**
 * `npm run torture -- floods [SECONDS [KIND…]]`: floods from 127.0.0.2 to 127.0.0.9 at a real door, one kind after the
 * other, each for SECONDS at 5 000 datagrams a second, while a good client on 127.0.0.1 pings 20 times and connects 4
 * times a second. The flooder is a process of its own, below normal priority: what is measured is what the door does to
 * the good client, not what two programs do to each other's processor.
 *
 * A JSON line for each flood, then the verdict. Ends with 1 when the good client's p99 grew fivefold, a call of its
 * failed, memory did not come back, a connection stayed, strangers were dropped without being counted, or the door died.
 */
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { credentialsIn } from "../support/credentials.ts";
import { pairFleet } from "../support/fleet.ts";
import { Install, type JsonObject } from "../support/gatehouse-process.ts";
import { type Figures, ProbedDaemon } from "../support/probed-daemon.ts";
import { TsxChild } from "../support/tsx-child.ts";
import { FLOODS, type FloodKind, isFloodKind } from "./flood-kinds.ts";
import { GoodClient, type Service } from "./good-client.ts";
import { droppedByKernel } from "./kernel.ts";

const FLOODER_PATH = fileURLToPath(new URL("flooder.ts", import.meta.url));
const PER_SECOND = 5_000;
const SECONDS = 30;
const WINDOWS = 5;
/** Caches fill and code is compiled before anything is compared. */
const WARM_UP_MS = 2_000;

/** A machine that others use has bad seconds; a door that cannot cope fails each time. */
const ATTEMPTS = 2;
const P99_RATIO_MAX = 5;
/** An idle machine answers faster than its timers tick; below this a ratio says nothing. */
const IDLE_P99_MS_MIN = 1;
/** The allocator keeps some of what a thousand half-open connections took, once. */
const RSS_GROWTH_MIB_MAX = 96;
const HEAP_GROWTH_MIB_MAX = 8;
/** Less, and it was another flood than the one stated. Devices are held back by credit and congestion as well. */
const RATE_SHARE_MIN = { stranger: 0.8, device: 0.1 } as const;
/** Unfinished handshakes have 10 s, idle connections 30 s. */
const SETTLE_MS = 45_000;
const STRANGERS: readonly FloodKind[] = ["initials", "half-open"];
/** Not drops: what was let in, or at least begun. */
const NOT_DROPPED = new Set(["accepted", "admitted"]);

interface Round {
  readonly kind: FloodKind;
  readonly service: Service;
  readonly flooder: JsonObject;
  readonly before: Figures;
  readonly after: Figures;
  readonly droppedByKernel: number;
}

const [, , , secondsText = String(SECONDS), ...wanted] = process.argv;
const seconds = Number(secondsText);
if (!(seconds >= 1)) throw new RangeError(`floods: SECONDS is a number from 1, not ${secondsText}`);
const kinds = wanted.length > 0 ? wanted.filter(isFloodKind) : Object.keys(FLOODS).filter(isFloodKind);

const failures = await run();
say({ verdict: failures.length === 0 ? "passed" : "failed", failures });
process.exitCode = failures.length === 0 ? 0 : 1;

async function run(): Promise<readonly string[]> {
  await using install = await Install.create();
  await using door = await ProbedDaemon.serve(install, ["--init"]);
  const [good = "", rogue = ""] = await pairFleet(install, door.daemon.address, ["good", "rogue"]);
  const failures: string[] = [];
  const start = await door.figures("collect");
  {
    await using client = await GoodClient.open(good);
    await client.measure(WARM_UP_MS, 1);
    const idle = await measure(client);
    const before = await door.figures("collect");
    say({ idle: { ping: idle.ping, connect: idle.connect }, door: shown(before) });
    for (const kind of kinds) failures.push(...(await survive(kind, { door, client, rogue, idle })));
    failures.push(...(await settle(door, before)));
  }
  if (!door.daemon.isRunning) failures.push(`the door died: ${door.daemon.stderr}`);
  else if ((await door.daemon.stop("SIGTERM")) !== 0) failures.push("the door did not end cleanly");
  say({ door: { rssMiBAtStart: start.rssMiB } });
  return failures;
}

interface Site {
  readonly door: ProbedDaemon;
  readonly client: GoodClient;
  /** Home of the paired device that floods. */
  readonly rogue: string;
  readonly idle: Service;
}

/** Answers what went wrong, in the last attempt. */
async function survive(kind: FloodKind, site: Site): Promise<readonly string[]> {
  let failures: readonly string[] = [];
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    // What else runs on this machine by now is in both figures.
    const idle = attempt === 1 ? site.idle : await measure(site.client);
    const round = await flood(kind, site);
    failures = judge(round, idle);
    say({ ...report(round, idle), attempt, isGood: failures.length === 0 });
    if (failures.length === 0) break;
  }
  return failures;
}

async function flood(kind: FloodKind, { door, client, rogue }: Site): Promise<Round> {
  const { port } = door.daemon;
  const { serverName, keyPem, certificatePem } = await credentialsIn(rogue);
  const identity = STRANGERS.includes(kind) ? undefined : { keyPem, certificatePem };
  await using flooder = new TsxChild(FLOODER_PATH);
  await flooder.event("up");
  flooder.send({ kind, port, serverName, identity, perSecond: PER_SECOND, seconds });
  await flooder.event("ready");
  const before = await door.figures("collect");
  const droppedBefore = await droppedByKernel(port);
  flooder.send({ event: "begin" });
  const service = await measure(client);
  const after = await door.figures();
  const done = await flooder.event("done");
  const dropped = (await droppedByKernel(port)) - droppedBefore;
  return { kind, service, flooder: done, before, after, droppedByKernel: dropped };
}

function measure(client: GoodClient): Promise<Service> {
  return client.measure((seconds * 1_000) / WINDOWS, WINDOWS);
}

/** Waits until nothing but the good client is left, for as long as deadlines take. */
async function settle(door: ProbedDaemon, before: Figures): Promise<readonly string[]> {
  const startedMs = performance.now();
  let figures = await door.figures("collect");
  while (figures.connections > before.connections && performance.now() - startedMs < SETTLE_MS) {
    await delay(500);
    figures = await door.figures("collect");
  }
  const settledAfterMs = Math.round(performance.now() - startedMs);
  const rssMiB = grown(figures.rssMiB, before.rssMiB);
  const heapMiB = grown(figures.heapMiB, before.heapMiB);
  const counted = countersGrown(before, figures);
  say({ settled: { afterMs: settledAfterMs, grown: { rssMiB, heapMiB } }, counted, door: shown(figures) });
  const failures: string[] = [];
  if (figures.connections > before.connections)
    failures.push(`${figures.connections - before.connections} connections stayed after ${SETTLE_MS} ms`);
  if (rssMiB > RSS_GROWTH_MIB_MAX) failures.push(`resident memory grew by ${rssMiB} MiB`);
  if (heapMiB > HEAP_GROWTH_MIB_MAX) failures.push(`the heap grew by ${heapMiB} MiB`);
  // Counted when a connection ends, so only now.
  if (kinds.includes("paths") && !(counted["pathMoves"] ?? 0))
    failures.push("paths: no change of address was counted");
  failures.push(...figures.warnings);
  return failures;
}

function judge({ kind, service, flooder, before, after }: Round, idle: Service): readonly string[] {
  const failures = service.failures.map((code) => `${kind}: a good client's call failed: ${code}`);
  for (const what of ["ping", "connect"] as const) {
    const ratio = ratioOf(service, idle, what);
    if (!(ratio < P99_RATIO_MAX)) failures.push(`${kind}: the good client's ${what} p99 grew ${ratio}-fold`);
  }
  const rate = Number(flooder["perSecond"]);
  if (rate < PER_SECOND * RATE_SHARE_MIN[STRANGERS.includes(kind) ? "stranger" : "device"])
    failures.push(`${kind}: the flood reached ${rate} datagrams a second only`);
  const counted = Object.entries(countersGrown(before, after)).some(([name]) => !NOT_DROPPED.has(name));
  if (STRANGERS.includes(kind) && !counted) failures.push(`${kind}: nothing dropped was counted`);
  return failures;
}

function report({ kind, service, flooder, before, after, droppedByKernel: kernel }: Round, idle: Service) {
  const { ping, connect, failures: failed } = service;
  return {
    flood: kind,
    wantedPerSecond: PER_SECOND,
    reachedPerSecond: flooder["perSecond"],
    flooder: flooder["figures"],
    ping: { ...ping, p99Ratio: ratioOf(service, idle, "ping") },
    connect: { ...connect, p99Ratio: ratioOf(service, idle, "connect") },
    failed: failed.length,
    counted: countersGrown(before, after),
    droppedByKernel: kernel,
    door: { ...shown(after), rssMiBBefore: before.rssMiB, cpu: cpuShare(before, after) },
  };
}

function ratioOf(service: Service, idle: Service, what: "ping" | "connect"): number {
  return Math.round((service[what].p99 / Math.max(IDLE_P99_MS_MIN, idle[what].p99)) * 100) / 100;
}

/** What the door's counters grew by; those that did not are left out. */
function countersGrown(before: Figures, after: Figures): Readonly<Record<string, number>> {
  const grew = Object.entries(after.counters).map(
    ([name, count]) => [name, count - (before.counters[name] ?? 0)] as const,
  );
  return Object.fromEntries(grew.filter(([, count]) => count !== 0));
}

/** Of one processor, in the time of the flood. */
function cpuShare(before: Figures, after: Figures): number {
  return Math.round((after.cpuMs - before.cpuMs) / (seconds * 10)) / 100;
}

function shown({ connections, rssMiB, heapMiB, loopDelayMs }: Figures) {
  return { connections, rssMiB, heapMiB, loopDelayMs };
}

function grown(after: number, before: number): number {
  return Math.round((after - before) * 10) / 10;
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
