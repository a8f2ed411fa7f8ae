/**
 * `npm run torture -- kill [CYCLES [SEED]]`: several processes change secrets through the real door; its daemon is killed
 * (`kill -9`) at random moments, started again, and everything is read back.
 *
 * A JSON line every few cycles, then the verdict. Ends with 1 when a change that was acknowledged is missing, one is half
 * there, versions have a gap, or the daemon does not come back.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { isGatehouseError, Resources } from "../../src/core/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { Install } from "../support/gatehouse-process.ts";
import { OwnerDoor } from "../support/owner-door.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { attemptIn } from "./kill-value.ts";

const CYCLES = 1_000;
const WRITERS = [
  ["a", "puts"],
  ["b", "puts"],
  ["c", "puts"],
  ["d", "destroys"],
] as const;
const LIFE_MS = { min: 40, max: 700 };
/** Machines are busy at times; how long it took at most is printed. */
const READY_MS = 120_000;
const TOLD_EVERY = 25;
/** Destroyed paths are looked at again, the newest so many in each cycle. */
const DESTROYED_LOOKS = 20;
const PROGRAM = fileURLToPath(new URL("programs/kill-writer.ts", import.meta.url));

interface Path {
  /** Attempt by acknowledged version, the newest ones. */
  readonly acknowledged: Map<number, number>;
  newest: number;
}

interface Figures {
  cycles: number;
  acknowledged: number;
  destroyed: number;
  readBack: number;
  /** Kills that found a checkpoint unfinished, or the end of the journal inside a group. */
  inCheckpoint: number;
  inGroup: number;
  restartMsMax: number;
}

const [, , , cyclesText = String(CYCLES), seedText = String(Date.now() % 2 ** 32)] = process.argv;
const [cycles, seed] = [Number(cyclesText), Number(seedText)];
if (!(cycles >= 1)) throw new RangeError(`kill: CYCLES is a number from 1, not ${cyclesText}`);

const paths = new Map<string, Path>();
const destroyed: string[] = [];
const figures: Figures = {
  ...{ cycles: 0, acknowledged: 0, destroyed: 0, readBack: 0 },
  ...{ inCheckpoint: 0, inGroup: 0, restartMsMax: 0 },
};

const failures = await run();
say({
  verdict: failures.length === 0 ? "passed" : "failed",
  seed,
  ...figures,
  failures: failures.slice(0, 20),
});
process.exitCode = failures.length === 0 ? 0 : 1;

async function run(): Promise<readonly string[]> {
  await using resources = new Resources();
  const install = resources.use(await Install.create());
  await install.json(["init", "--name", "kill", "--no-recovery-key"]);
  const port = await freePort();
  const random = new SeededRandom(seed);
  const writers = WRITERS.map(([name, kind]) => startWriter(install.home, name, kind));
  for (const writer of writers) resources.defer(() => void writer.kill("SIGKILL"));
  for (figures.cycles = 1; figures.cycles <= cycles; figures.cycles += 1) {
    const startedAt = performance.now();
    const daemon = await startDaemon(install, port);
    figures.restartMsMax = Math.max(figures.restartMsMax, Math.round(performance.now() - startedAt));
    try {
      const found = await readBack(install.home, port);
      if (found.length > 0) return found;
      for (const { stdin } of writers) stdin?.write(`go ${port}\n`);
      await delay(LIFE_MS.min + random.next() * (LIFE_MS.max - LIFE_MS.min));
    } finally {
      daemon.kill("SIGKILL");
      await once(daemon, "close");
    }
    if (await isInCheckpoint(install.home)) figures.inCheckpoint += 1;
    if (figures.cycles % TOLD_EVERY === 0) say(figures);
  }
  figures.cycles = cycles;
  const last = await startDaemon(install, port);
  const found = await readBack(install.home, port);
  last.kill("SIGKILL");
  await once(last, "close");
  const isIdle = figures.acknowledged < cycles || figures.destroyed === 0 || figures.readBack < cycles;
  return isIdle ? [...found, "too little was written for this to say anything"] : found;
}

function startWriter(home: string, name: string, kind: string): ChildProcess {
  const writer = spawn(process.execPath, ["--import", "tsx", PROGRAM, home, name, kind], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  createInterface({ input: writer.stdout }).on("line", (line) => note(JSON.parse(line)));
  return writer;
}

function note(line: { did: string; path: string; version: number; attempt: number }): void {
  if (line.did === "destroyed") {
    figures.destroyed += 1;
    paths.delete(line.path);
    destroyed.push(line.path);
    return;
  }
  figures.acknowledged += 1;
  const path = paths.get(line.path) ?? { acknowledged: new Map<number, number>(), newest: 0 };
  path.acknowledged.set(line.version, line.attempt);
  path.newest = line.version;
  paths.set(line.path, path);
}

async function startDaemon(install: Install, port: number): Promise<ChildProcess> {
  const daemon = install.spawn(["serve", "--json", "--listen", `127.0.0.1:${port}`]);
  const { stdout, stderr } = daemon;
  if (stdout === null || stderr === null) throw new TypeError("a daemon without output");
  let complaints = "";
  createInterface({ input: stderr }).on("line", (line) => {
    complaints += `${line}\n`;
    const opened = /"cutBytes":(\d+)/.exec(line);
    if (opened !== null && Number(opened[1]) > 0) figures.inGroup += 1;
  });
  const lines = createInterface({ input: stdout });
  const ready = await Promise.race([
    once(lines, "line").then(() => true),
    once(daemon, "close").then(() => false),
    delay(READY_MS, false, { ref: false }),
  ]);
  if (ready) return daemon;
  daemon.kill("SIGKILL");
  throw new Error(`the daemon did not come back:\n${complaints}`);
}

/** Everything that was acknowledged, and that nothing else is there. */
async function readBack(home: string, port: number): Promise<readonly string[]> {
  const found: string[] = [];
  await using door = await OwnerDoor.open(home, port);
  for (const [path, expected] of [...paths]) found.push(...(await readPath(door, path, expected)));
  for (const path of destroyed.slice(-DESTROYED_LOOKS)) {
    if (await isReadable(door, path)) found.push(`${path}: it was destroyed and is back`);
  }
  return found;
}

async function readPath(door: OwnerDoor, path: string, expected: Path): Promise<readonly string[]> {
  if (!(await isReadable(door, path))) {
    // Its destruction may have been carried out and not answered.
    return path.startsWith("kill/d/") ? [] : [`${path}: version ${expected.newest} is lost`];
  }
  const { versions } = await door.call(METHODS.Vault.History, { path });
  const kept = versions.map(({ version }) => Number(version ?? 0));
  const [newest = 0] = kept;
  const found: string[] = [];
  if (newest < expected.newest) found.push(`${path}: version ${expected.newest} is lost`);
  if (kept.some((version, index) => version !== newest - index))
    found.push(`${path}: gap in ${kept.join(" ")}`);
  let above = Number.POSITIVE_INFINITY;
  for (const version of kept) {
    const { value } = await door.call(METHODS.Vault.Get, { path, version });
    figures.readBack += 1;
    const attempt = attemptIn(path, value);
    if (attempt === undefined || attempt >= above)
      found.push(`${path}: version ${version} is not what was stored`);
    const acknowledged = expected.acknowledged.get(version);
    if (acknowledged !== undefined && acknowledged !== attempt)
      found.push(`${path}: version ${version} is another`);
    above = attempt ?? above;
  }
  for (const version of expected.acknowledged.keys())
    if (!kept.includes(version)) expected.acknowledged.delete(version);
  return found;
}

async function isReadable(door: OwnerDoor, path: string): Promise<boolean> {
  try {
    await door.call(METHODS.Vault.Get, { path });
    return true;
  } catch (failure) {
    if (isGatehouseError(failure, "vault.not-found")) return false;
    throw failure;
  }
}

async function isInCheckpoint(home: string): Promise<boolean> {
  const names = await readdir(join(home, "vault"));
  const count = (kind: string): number => names.filter((name) => name.startsWith(kind)).length;
  return count("journal-") > 1 || count("snapshot-") > 1 || names.some((name) => name.endsWith(".tmp"));
}

async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
