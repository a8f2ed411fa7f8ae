import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FreezeJudge } from "../../src/daemon/watchdog-judge.ts";
import { createWatchdogMemory, lookAt, Spotlight } from "../../src/daemon/watchdog-memory.ts";
import { type DeviceId, deviceIdOf } from "../../src/identity/index.ts";

const idOf = (seed: number): DeviceId => deviceIdOf(new Uint8Array(32).fill(seed));
const PROGRAM = fileURLToPath(new URL("programs/watched.ts", import.meta.url));
const SILENCE_MS = 10_000;
const TICK_MS = 500;

describe("the spotlight", () => {
  it("shows the device of the connection at hand, and nobody between turns", () => {
    const memory = createWatchdogMemory();
    const spotlight = new Spotlight(memory);
    const [phone, laptop, stranger] = [{}, {}, {}];
    spotlight.name(phone, idOf(1));
    spotlight.name(laptop, idOf(2));
    const shown = [phone, phone, laptop, stranger, undefined, laptop, phone, undefined].map((connection) => {
      spotlight.show(connection);
      return lookAt(memory).device;
    });
    const [one, two] = [idOf(1), idOf(2)];
    expect(shown).toEqual([one, one, two, undefined, undefined, two, one, undefined]);
  });

  it("shows a device from the moment it is admitted, in the middle of a turn", () => {
    const memory = createWatchdogMemory();
    const spotlight = new Spotlight(memory);
    const [first, second] = [{}, {}];
    spotlight.show(first);
    expect(lookAt(memory).device).toBeUndefined();
    spotlight.name(second, idOf(2));
    expect(lookAt(memory).device).toBeUndefined();
    spotlight.name(first, idOf(1));
    expect(lookAt(memory).device).toBe(idOf(1));
    spotlight.show(undefined);
    spotlight.show(first);
    expect(lookAt(memory).device).toBe(idOf(1));
  });

  it("never shows one device while another is at hand, whatever the order", () => {
    const connections = [{}, {}, {}, {}];
    const steps = fc.array(fc.tuple(fc.constantFrom("show", "leave", "name"), fc.nat(3)), { maxLength: 60 });
    fc.assert(
      fc.property(steps, (order) => {
        const memory = createWatchdogMemory();
        const spotlight = new Spotlight(memory);
        const named = new Map<object, DeviceId>();
        let current: object | undefined;
        for (const [step, index] of order) {
          const connection = connections[index] ?? {};
          if (step === "name") {
            spotlight.name(connection, idOf(index));
            named.set(connection, idOf(index));
          } else {
            current = step === "show" ? connection : undefined;
            spotlight.show(current);
          }
          expect(lookAt(memory).device).toBe(current && named.get(current));
        }
      }),
    );
  });
});

describe("the judge of freezes", () => {
  const judge = (): FreezeJudge => new FreezeJudge({ silenceMs: SILENCE_MS, tickMs: TICK_MS, nowMs: 0 });
  const still = { beats: 1, turns: 1, device: idOf(1) };

  it("waits for more than the whole silence, and takes it back with one beat", () => {
    const it = judge();
    for (let nowMs = TICK_MS; nowMs <= TICK_MS + SILENCE_MS; nowMs += TICK_MS)
      expect(it.look(nowMs, still).isFrozen).toBe(false);
    expect(it.look(2 * TICK_MS + SILENCE_MS, still)).toMatchObject({ isFrozen: true, device: idOf(1) });
    expect(it.look(3 * TICK_MS + SILENCE_MS, { ...still, beats: 2 })).toMatchObject({ isFrozen: false });
  });

  it("does not count the time in which it did not run itself", () => {
    const it = judge();
    expect(it.look(TICK_MS, still).isFrozen).toBe(false);
    // A night's sleep; then the main thread has ten more ticks before it beats again.
    const wokenMs = 8 * 3_600_000;
    for (let tick = 0; tick < 10; tick += 1)
      expect(it.look(wokenMs + tick * TICK_MS, still).isFrozen).toBe(false);
  });

  it("finds a freeze all the same when each of its ticks is late", () => {
    const it = judge();
    let isFrozen = false;
    for (let look = 1; look <= 12 && !isFrozen; look += 1) ({ isFrozen } = it.look(look * 5_000, still));
    expect(isFrozen).toBe(true);
  });

  it("blames nobody for a silence in which connections still took turns", () => {
    const it = judge();
    const findings = Array.from({ length: 30 }, (_, index) =>
      it.look(index * TICK_MS, { beats: 1, turns: index, device: idOf(1) }),
    );
    expect(findings.at(-1)).toMatchObject({ isFrozen: true, device: undefined });
  });
});

describe("a watched process", () => {
  const SHORT_MS = 600;
  let dir: string;
  let notes: string;
  let child: ChildProcess | undefined;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "gatehouse-watchdog-"));
    notes = join(dir, "freezes");
  });
  afterEach(() => {
    child?.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  });

  async function watched(silenceMs: number, device = ""): Promise<ChildProcess> {
    const words = ["--import", "tsx", PROGRAM, notes, String(silenceMs), device];
    child = spawn(process.execPath, words, { stdio: ["pipe", "pipe", "inherit"] });
    await once(child, "spawn");
    if (child.stdout === null) throw new Error("no standard output");
    await once(child.stdout, "data");
    return child;
  }
  const lastNote = (): unknown => {
    const line = readFileSync(notes, "utf8").trimEnd().split("\n").at(-1) ?? "";
    return JSON.parse(line);
  };

  it("is ended when it freezes, after its note is on disk, for nobody else to read", async () => {
    const { stdin, ...rest } = await watched(SHORT_MS, idOf(7));
    expect(rest.exitCode).toBeNull();
    const startedAt = Date.now();
    stdin?.write("freeze");
    expect(await once(child ?? process, "exit")).toEqual([null, "SIGKILL"]);
    const { at, silentMs } = lastNote() as { at: number; silentMs: number };
    expect(lastNote()).toEqual({ device: idOf(7), at, silentMs });
    expect(at).toBeGreaterThanOrEqual(startedAt);
    expect(silentMs).toBeGreaterThan(SHORT_MS);
    expect(statSync(notes).mode & 0o777).toBe(0o600);
  });

  it("leaves its note on a line of its own after one that was cut short", async () => {
    writeFileSync(notes, '{"device":"aj', { mode: 0o600 });
    const { stdin } = await watched(SHORT_MS);
    stdin?.write("freeze");
    await once(child ?? process, "exit");
    expect(lastNote()).toMatchObject({ device: null });
    expect(readFileSync(notes, "utf8")).toMatch(/^\{"device":"aj\n/);
  });

  it("is ended without a device to blame when its loop starves timers, connection by connection", async () => {
    const { stdin } = await watched(SHORT_MS, idOf(7));
    stdin?.write("freeze-in-turns");
    expect(await once(child ?? process, "exit")).toEqual([null, "SIGKILL"]);
    expect(lastNote()).toMatchObject({ device: null });
  });

  it("is ended even when its note cannot be written", async () => {
    notes = join(dir, "nowhere", "freezes");
    const { stdin } = await watched(SHORT_MS);
    stdin?.write("freeze");
    expect(await once(child ?? process, "exit")).toEqual([null, "SIGKILL"]);
  });

  it("does not outlive its parent by much, should it not leave by itself", async () => {
    const words = ["--import", "tsx", PROGRAM, notes, String(SHORT_MS)];
    child = spawn("sh", ["-c", '"$@" & wait', "sh", process.execPath, ...words], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    if (child.stdout === null) throw new Error("no standard output");
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    // The grandchild holds the other end of the pipe until it is gone.
    await once(child.stdout, "close");
    expect(existsSync(notes)).toBe(false);
  });

  it("lives on when it was stopped for longer than the silence allowed", async () => {
    const running = await watched(SHORT_MS);
    running.kill("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, 3 * SHORT_MS));
    running.kill("SIGCONT");
    // Two silences later its watchdog would have found it frozen.
    await new Promise((resolve) => setTimeout(resolve, 2 * SHORT_MS));
    expect([running.exitCode, running.signalCode]).toEqual([null, null]);
    expect(existsSync(notes)).toBe(false);
  });
});
