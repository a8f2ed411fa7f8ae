/**
 * `npm run torture -- wires`: UDP dropped and let through again, the link cut in mid-load, the client stopped, the gatehouse
 * killed and started again, and moved to another address, and changes queued while it could not be reached. As root: it takes a network of its own, and nftables.
 *
 * A JSON line for each part, then the verdict. Ends with 1 when a first answer over TCP comes more than a second later than
 * over QUIC, QUIC is not back after a probe, a call neither ends nor fails within its time, or a change is made twice or lost.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Client, connect, METHODS, Remotes, type WireChange } from "../../src/client/index.ts";
import { LIMITS, Resources } from "../../src/core/index.ts";
import { pairFleet } from "../support/fleet.ts";
import { Install } from "../support/gatehouse-process.ts";
import { enterOwnNetwork, NetworkScene } from "./network-scene.ts";

const PORT = 7443;
const NAME = "gatehouse.test";
const [HERE, ELSEWHERE] = ["127.0.0.1", "127.0.0.2"];
const ROUNDS = 10;
const LATER_MS_MAX = 1_000;
const CALL_MS = 20_000;
/** No more than versions are kept. */
const QUEUED = 30;
const CUT_MS = 60_000;
const STOPPED_MS = 40_000;
/** Between a call's time and its end: the machine is busy at times. */
const SLACK_MS = 2_000;
const BEFORE_MS = 3_000;
const AFTER_MS = 5_000;
const PROGRAM = fileURLToPath(new URL("programs/wires-client.ts", import.meta.url));

interface Settled {
  readonly path: string;
  readonly code?: string;
  readonly ms: number;
  readonly wire: string;
}

enterOwnNetwork();
const failures: string[] = [];
await main();
say({ verdict: failures.length === 0 ? "passed" : "failed", failures: failures.slice(0, 20) });
process.exit(failures.length === 0 ? 0 : 1);

async function main(): Promise<void> {
  await using resources = new Resources();
  const scene = new NetworkScene(PORT);
  scene.name(NAME, HERE);
  const install = resources.use(await Install.create());
  await install.json(["init", "--name", "hall", "--no-recovery-key"]);
  let daemon = await install.serve([], `${HERE}:${PORT}`);
  const [phone = ""] = await pairFleet(install, `${NAME}:${PORT}`, ["phone"]);
  await Remotes.of(phone).set("hall", { address: `${NAME}:${PORT}` });
  await install.json(["device", "grant", "phone", "owner"]);

  await dropped(scene, phone);
  await queued(scene, phone);
  const load = (what: string, during: (client: ChildProcess) => Promise<number>) =>
    underLoad(install, phone, what, during);
  await load("link cut for 60 s", async () => {
    scene.drop("udp", "tcp");
    await delay(CUT_MS);
    scene.drop();
    return 0;
  });
  await load("client stopped for 40 s", async (client) => {
    client.kill("SIGSTOP");
    await delay(STOPPED_MS);
    client.kill("SIGCONT");
    return STOPPED_MS;
  });
  await load("gatehouse killed and started again", async () => {
    await daemon.stop("SIGKILL");
    daemon = await install.serve([], `${HERE}:${PORT}`);
    return 0;
  });
  await load("gatehouse stopped and started again", async () => {
    await daemon.stop();
    daemon = await install.serve([], `${HERE}:${PORT}`);
    return 0;
  });
  await load("gatehouse moved to another address", async () => {
    await daemon.stop();
    daemon = await install.serve([], `${ELSEWHERE}:${PORT}`);
    scene.name(NAME, ELSEWHERE);
    return 0;
  });
  await daemon.stop();
}

/** The first answer with UDP, without it, and without it a second time; then how QUIC comes back. */
async function dropped(scene: NetworkScene, home: string): Promise<void> {
  const first = async (): Promise<number> => {
    const startedMs = performance.now();
    await using client = await connect({ home, resumption: "none" });
    await client.call(METHODS.Health.Ping, {});
    return performance.now() - startedMs;
  };
  const times = { quic: [] as number[], fresh: [] as number[], remembered: [] as number[] };
  for (let round = 0; round < ROUNDS; round += 1) {
    scene.drop();
    times.quic.push(await first());
    scene.drop("udp");
    times.fresh.push(await first());
    times.remembered.push(await first());
  }
  let tell: (change: WireChange) => void = () => undefined;
  const back = new Promise<WireChange>((resolve) => {
    tell = (change) => {
      if (change.before === "grpc") resolve(change);
    };
  });
  await using client = await connect({ home, onWire: (change) => tell(change) });
  const { wire, wireReason } = await statusOf(client);
  const droppedMs = performance.now();
  await delay(BEFORE_MS);
  scene.drop();
  const change = await Promise.race([back, delay(LIMITS.udpProbeMs + SLACK_MS, undefined)]);
  const backMs = performance.now() - droppedMs;
  const [quicMs, freshMs, rememberedMs] = [times.quic, times.fresh, times.remembered].map(median);
  say({
    part: "UDP dropped",
    quicMs,
    freshMs,
    rememberedMs,
    wire,
    wireReason,
    backAfterMs: Math.round(backMs),
    change,
  });
  const laterMs = Math.max(...times.fresh, ...times.remembered) - (quicMs ?? 0);
  if (laterMs > LATER_MS_MAX) failures.push(`a first answer over TCP came ${Math.round(laterMs)} ms later`);
  if (wire !== "grpc") failures.push(`UDP was dropped, and calls went over ${wire}`);
  if (change?.wire !== "quic") failures.push("QUIC was not back after one probe");
}

async function statusOf(client: Client) {
  await client.call(METHODS.Health.Status, {});
  return { wire: client.wire, wireReason: client.wireReason };
}

/** Changes asked for while nothing gets through, and a link that is cut again while they are sent. */
async function queued(scene: NetworkScene, home: string): Promise<void> {
  const path = "wires/queue";
  scene.drop("udp", "tcp");
  {
    await using client = await connect({ home, dial: "when-needed" });
    for (let number = 1; number <= QUEUED / 2; number += 1) {
      await client.enqueue(METHODS.Vault.Put, { path, value: Buffer.from(String(number)) });
    }
  }
  await using client = await connect({ home, dial: "when-needed" });
  const answers = [];
  for (let number = QUEUED / 2 + 1; number <= QUEUED; number += 1) {
    answers.push(
      (await client.enqueue(METHODS.Vault.Put, { path, value: Buffer.from(String(number)) })).answer,
    );
  }
  const settled: number[] = [];
  const draining = client.outbox.drain({ onSettled: () => void settled.push(settled.length) });
  scene.drop();
  await answers[0];
  scene.drop("udp", "tcp");
  await delay(BEFORE_MS);
  scene.drop();
  await Promise.all([draining, ...answers]);
  const { versions: kept } = await client.call(METHODS.Vault.History, { path });
  const values: string[] = [];
  for (let version = 1; version <= QUEUED; version += 1) {
    const { value } = await client.call(METHODS.Vault.Get, { path, version });
    values.push(Buffer.from(value).toString());
  }
  const isInOrder = values.every((value, index) => value === String(index + 1));
  say({
    part: "offline queue",
    queued: QUEUED,
    versions: kept.length,
    isInOrder,
    ofEarlierProcess: settled.length,
  });
  if (kept.length !== QUEUED) failures.push(`${QUEUED} queued changes made ${kept.length} versions`);
  if (!isInOrder) failures.push(`queued changes came out of order: ${values.join(" ")}`);
}

/** `during` answers for how long the client itself stood still. */
async function underLoad(
  install: Install,
  home: string,
  part: string,
  during: (client: ChildProcess) => Promise<number>,
): Promise<void> {
  const run = part.replaceAll(/[^a-z0-9]+/g, "-");
  const client = spawn(process.execPath, ["--import", "tsx", PROGRAM, home, run, String(CALL_MS)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const calls: Settled[] = [];
  const wires: string[] = [];
  const lines = createInterface({ input: client.stdout });
  const ready = new Promise<void>((resolve) => {
    lines.on("line", (line) => {
      const said = JSON.parse(line) as Settled & { did: string };
      if (said.did === "call") calls.push(said);
      else if (said.did === "wire") wires.push(said.wire);
      else resolve();
    });
  });
  await ready;
  await delay(BEFORE_MS);
  const stoodMs = await during(client);
  await delay(AFTER_MS);
  const wasAlive = calls.length;
  client.stdin.end("stop\n");
  await once(client, "close");
  const late = calls.filter(({ ms }) => ms > CALL_MS + stoodMs + SLACK_MS);
  const failed = calls.filter(({ code }) => code !== undefined);
  const codes = Object.fromEntries(
    [...new Set(failed.map(({ code }) => code))].map((code) => [
      code,
      failed.filter((call) => call.code === code).length,
    ]),
  );
  const made = await versions(install, run);
  const lost = calls.filter(({ code, path }) => code === undefined && made.get(path) !== 1);
  const twice = [...made].filter(([, version]) => version !== 1);
  say({
    part,
    calls: calls.length,
    done: calls.length - failed.length,
    codes,
    longestMs: Math.max(...calls.map(({ ms }) => ms)),
    made: made.size,
    lost: lost.length,
    twice: twice.length,
    wires,
  });
  if (wasAlive === 0 || calls.at(-1)?.code !== undefined) failures.push(`${part}: no calls in the end`);
  for (const { path, ms } of late) failures.push(`${part}: ${path} took ${ms} ms`);
  for (const { path } of lost) failures.push(`${part}: ${path} was acknowledged and is not there once`);
  for (const [path] of twice) failures.push(`${part}: ${path} was made twice`);
  for (const { code, path } of failed)
    if (!isCode(code)) failures.push(`${part}: ${path} ended with ${code}`);
}

/** What a call may end with when nobody can be reached in its time. */
function isCode(code: string | undefined): boolean {
  return (
    code === "rpc.deadline" ||
    code === "quic.timed-out" ||
    code === "quic.closed" ||
    code === "quic.unreachable"
  );
}

async function versions(install: Install, run: string): Promise<ReadonlyMap<string, number>> {
  await using owner = await connect({ home: install.home });
  const found = new Map<string, number>();
  for (let pageToken = ""; ; ) {
    const page = await owner.call(METHODS.Vault.List, { prefix: `wires/${run}`, pageToken });
    for (const { path, version } of page.secrets) found.set(path ?? "", Number(version));
    if (page.nextPageToken === "") return found;
    pageToken = page.nextPageToken;
  }
}

function median(values: readonly number[]): number {
  return Math.round([...values].sort((a, b) => a - b)[values.length >> 1] ?? 0);
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
