/**
 * Weeks in seconds: real processes under a made-up wall clock (libfaketime), which all of them share. Who is off for how long,
 * and what becomes of it. Needs Debian's package `faketime`; says so and does nothing without it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Daemon, MAIN_PATH, text } from "../support/gatehouse-process.ts";

const LIBRARY = [
  "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
  "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
].find((path) => existsSync(path));
const DAEMON = fileURLToPath(new URL("programs/calendar-daemon.mjs", import.meta.url));
/** Less than a gatehouse takes for an absence of its own. */
const STEP_DAYS = 0.9;
const STEP_MS = 250;
const DAY_S = 86_400;

interface Answer {
  readonly exit: unknown;
  readonly code: string;
}

/** One gatehouse, its devices, and the clock they share. */
class World implements AsyncDisposable {
  readonly #dir: string;
  #days = 0;
  #daemon: Daemon | undefined;
  #child: ChildProcess | undefined;
  #port = "0";
  #windows = 0;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  static async create(): Promise<World> {
    const world = new World(await mkdtemp(join(tmpdir(), "gatehouse-calendar-")));
    await world.#setClock(0);
    await world.start();
    return world;
  }

  async start(): Promise<void> {
    const keys = join(this.#dir, "hall-config", "gatehouse", "keys");
    this.#child = spawn(process.execPath, [DAEMON, this.#home("hall"), keys, this.#port], {
      env: this.#env("hall"),
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#daemon = new Daemon(this.#child);
    const quic = text((await this.#daemon.event("ready"))["quic"]);
    this.#port = quic.split(":")[1] ?? "0";
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return;
    const gone = once(child, "exit");
    child.stdin?.end();
    await gone;
  }

  async pair(name: string): Promise<void> {
    this.#child?.stdin?.write("pair\n");
    this.#windows += 1;
    const opened = await this.#daemon?.event(`opened-${this.#windows}`);
    const code = text(opened?.["code"]);
    const joined = await this.run(name, [
      "pair",
      "join",
      `127.0.0.1:${this.#port}`,
      "--code",
      code,
      "--name",
      name,
    ]);
    if (joined.exit !== 0) throw new Error(`${name} did not join: ${joined.code}`);
  }

  /** Both sides' clocks go on, with the gatehouse running or not. */
  async pass(days: number): Promise<void> {
    const end = this.#days + days;
    while (this.#days < end) {
      await this.#setClock(Math.min(end, this.#days + STEP_DAYS));
      await sleep(STEP_MS);
    }
  }

  /** At once, as nobody would notice who is off. */
  async jump(days: number): Promise<void> {
    await this.#setClock(this.#days + days);
  }

  /** A command of `name`'s; `skewS` puts its own clock off. */
  async run(name: string, args: readonly string[], skewS = 0): Promise<Answer> {
    const child = spawn(process.execPath, [MAIN_PATH, ...args, "--json", "--home", this.#home(name)], {
      env: await this.#skewed(name, skewS),
      stdio: ["ignore", "pipe", "ignore"],
    });
    const parts: Buffer[] = [];
    child.stdout.on("data", (part: Buffer) => parts.push(part));
    const [exit]: unknown[] = await once(child, "close");
    const said: unknown = JSON.parse(Buffer.concat(parts).toString().trim().split("\n").at(-1) || "{}");
    const { error } = said as { readonly error?: { readonly code?: string } };
    return { exit, code: error?.code ?? "" };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.#dir, { recursive: true, force: true });
  }

  #home(name: string): string {
    return join(this.#dir, name);
  }

  async #setClock(days: number): Promise<void> {
    this.#days = days;
    await writeFile(join(this.#dir, "clock"), `+${Math.round(days * DAY_S)}\n`);
  }

  async #skewed(name: string, skewS: number): Promise<NodeJS.ProcessEnv> {
    if (skewS === 0) return this.#env(name);
    const file = join(this.#dir, `clock-${name}`);
    const offset = Math.round(this.#days * DAY_S) + skewS;
    await writeFile(file, `${offset < 0 ? "" : "+"}${offset}\n`);
    return { ...this.#env(name), FAKETIME_TIMESTAMP_FILE: file };
  }

  #env(name: string): NodeJS.ProcessEnv {
    return {
      ...{ PATH: process.env["PATH"], HOME: this.#dir, XDG_CONFIG_HOME: join(this.#dir, `${name}-config`) },
      ...{ LD_PRELOAD: LIBRARY, FAKETIME_TIMESTAMP_FILE: join(this.#dir, "clock") },
      ...{ FAKETIME_NO_CACHE: "1", FAKETIME_DONT_FAKE_MONOTONIC: "1" },
    };
  }
}

const STATUS = ["status"] as const;
const SERVED: Answer = { exit: 0, code: "" };
const EXPIRED: Answer = { exit: 5, code: "certificate.expired" };

interface Line {
  readonly who: string;
  readonly expected: Answer;
  readonly got: Answer;
}

const lines: Line[] = [];

async function expectThat(who: string, expected: Answer, got: Promise<Answer>): Promise<void> {
  const line = { who, expected, got: await got };
  lines.push(line);
  const { exit, code } = line.got;
  const isMet = exit === expected.exit && code === expected.code;
  process.stdout.write(`${isMet ? "ok  " : "FAIL"} ${who}: exit ${String(exit)} ${code}\n`);
  if (!isMet) process.exitCode = 1;
}

/** A device that is off while the gatehouse is on. */
async function deviceOff(days: number): Promise<void> {
  await using world = await World.create();
  await world.pair("phone");
  await world.pass(days);
  const isLate = days > 30;
  await expectThat(
    `device off for ${days} days, back`,
    isLate ? EXPIRED : SERVED,
    world.run("phone", STATUS),
  );
  if (!isLate) {
    // Before 18 days it may not have been due yet, and then 30 are what it has.
    const more = days < 18 ? 29 - days : 25;
    await world.pass(more);
    await expectThat(`  … off for another ${more}, back`, SERVED, world.run("phone", STATUS));
    return;
  }
  await expectThat("  … the owner readmits it", SERVED, world.run("hall", ["device", "readmit", "phone"]));
  await expectThat("  … back", SERVED, world.run("phone", STATUS));
  await expectThat("  … and again", SERVED, world.run("phone", STATUS));
}

/** A gatehouse that is off, and its devices with it or without it. */
async function gatehouseOff(days: number): Promise<void> {
  await using world = await World.create();
  await world.pair("phone");
  await world.pair("late");
  await world.stop();
  await world.jump(days);
  await world.start();
  await expectThat(`gatehouse off for ${days} days: its own command line`, SERVED, world.run("hall", STATUS));
  await expectThat("  … a device, at once", SERVED, world.run("phone", STATUS));
  await world.pass(6);
  await expectThat("  … another, six days later", SERVED, world.run("late", STATUS));
}

/** A device in use now and then, over several lives of its certificate. */
async function inUse(): Promise<void> {
  await using world = await World.create();
  await world.pair("phone");
  for (let day = 9; day <= 90; day += 9) {
    await world.pass(9);
    await expectThat(`device in use every nine days, day ${day}`, SERVED, world.run("phone", STATUS));
  }
  const renewed = world.run("phone", ["device", "renew", "--new-key"]);
  await expectThat("  … with a new key", SERVED, renewed);
  await expectThat("  … which is used", SERVED, world.run("phone", STATUS));
  await world.pass(20);
  await expectThat("  … and renewed", SERVED, world.run("phone", STATUS));
}

/** The authority is rotated while a device is off. */
async function rotated(days: number): Promise<void> {
  await using world = await World.create();
  await world.pair("phone");
  await expectThat("authority rotated", SERVED, world.run("hall", ["ca", "rotate"]));
  await world.pass(days);
  const isLate = days > 30;
  const back = world.run("phone", STATUS);
  await expectThat(`  … a device that was off for ${days} days is back`, isLate ? EXPIRED : SERVED, back);
  if (isLate) {
    await expectThat("  … the owner readmits it", SERVED, world.run("hall", ["device", "readmit", "phone"]));
    await expectThat("  … back, by an authority it had never heard of", SERVED, world.run("phone", STATUS));
  }
  await world.pass(20);
  await expectThat("  … 20 days later", SERVED, world.run("phone", STATUS));
}

/** Clocks that disagree. */
async function skewed(): Promise<void> {
  await using world = await World.create();
  await world.pair("phone");
  for (const minutes of [-4, 4]) {
    const asked = world.run("phone", STATUS, minutes * 60);
    await expectThat(`device's clock ${minutes} min off`, SERVED, asked);
  }
}

if (LIBRARY === undefined) {
  process.stdout.write(
    "calendar: skipped, there is no libfaketime here (Debian: apt-get install faketime)\n",
  );
} else {
  for (const days of [14, 29, 45]) await deviceOff(days);
  await gatehouseOff(45);
  await inUse();
  for (const days of [29, 45]) await rotated(days);
  await skewed();
  const failed = lines.filter(
    ({ expected, got }) => expected.exit !== got.exit || expected.code !== got.code,
  );
  process.stdout.write(`calendar: ${lines.length} looked at, ${failed.length} not as they should be\n`);
}
