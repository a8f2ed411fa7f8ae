import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { run } from "../../src/cli/run.ts";
import { Resources } from "../../src/core/index.ts";
import { type CommandResult, Daemon, Install, isObject, text } from "../support/gatehouse-process.ts";
import { createIo } from "./support.ts";

/** A window that asks, a joiner that waits, and somebody who answers: three real processes beside the daemon. */
describe("pairing with approval", () => {
  const resources = new Resources();
  let owner: Install;
  let daemon: Daemon;

  beforeAll(async () => {
    owner = resources.use(await Install.create());
    daemon = resources.use(await owner.serve(["--init", "--name", "hall"]));
  });
  afterAll(() => resources[Symbol.asyncDispose]());

  interface Asked {
    readonly window: Daemon;
    readonly joining: Promise<CommandResult>;
    readonly device: Install;
    readonly joiner: Readonly<Record<string, unknown>>;
    readonly approve: string;
  }

  async function askAbout(name: string, ...more: readonly string[]): Promise<Asked> {
    const device = resources.use(await Install.create());
    const window = resources.use(new Daemon(owner.spawn(["pair", "open", "--require-approval", "--json"])));
    const code = text((await window.event("open"))["code"]);
    const words = ["pair", "join", daemon.address, "--code", code, "--name", name, "--json", ...more];
    const joining = device.run(words);
    const asked = await window.event("asked");
    if (!isObject(asked["joiner"])) throw new Error("nobody is asked about");
    return { window, joining, device, joiner: asked["joiner"], approve: text(asked["approve"]) };
  }

  it("shows who waits, and lets it in when somebody says so elsewhere", async () => {
    const { window, joining, joiner, approve, device } = await askAbout("radio");
    const id = text(joiner["id"]);
    expect(joiner).toMatchObject({ name: "radio", kind: "cli", role: "member", replaces: "" });
    expect(joiner).toMatchObject({ remoteAddress: "127.0.0.1", expiresAt: expect.any(Number) });
    expect(await owner.json(["device", "approve"])).toEqual({ joiners: [joiner] });
    expect(approve).toContain(`device approve ${id.slice(0, 8)} --home ${owner.home}`);
    expect(await owner.json(["device", "approve", id.slice(0, 8)])).toEqual({ decision: "approved", joiner });
    expect(await window.event("paired")).toMatchObject({ device: { id, name: "radio" } });
    expect(await window.ended()).toBe(0);
    expect((await joining).document).toMatchObject({ device: { id, name: "radio" } });
    expect(await device.json(["status"])).toMatchObject({ name: "hall" });
    expect(await owner.json(["device", "approve"])).toEqual({ joiners: [] });
  });

  it("refuses with exit code 10 on both sides when somebody says no", async () => {
    const { window, joining, joiner } = await askAbout("spy");
    const id = text(joiner["id"]);
    expect(await owner.json(["device", "approve", id, "--deny"])).toMatchObject({ decision: "denied" });
    expect(await window.event("denied")).toEqual({ event: "denied", device: { id } });
    expect(await window.ended()).toBe(10);
    const refused = await joining;
    expect([refused.exitCode, refused.errorCode]).toEqual([10, "pairing.denied"]);
    expect(await owner.outcome(["device", "approve", id])).toEqual({ exit: 3, code: "pairing.not-waiting" });
    expect(await owner.outcome(["device", "show", id])).toEqual({ exit: 3, code: "device.not-found" });
  });

  it("says whose place a joiner takes, and revokes that device when it gets it", async () => {
    const first = await askAbout("phone");
    const lost = text(first.joiner["id"]);
    await owner.json(["device", "approve", lost]);
    await first.joining;
    const { joiner, joining } = await askAbout("phone", "--replace");
    expect(joiner).toMatchObject({ name: "phone", replaces: lost });
    const shown = (await owner.run(["device", "approve"])).stdout.toString();
    expect(shown).toContain(`REPLACES the device of this name (${lost.slice(0, 8)}…)`);
    await owner.json(["device", "approve", text(joiner["id"])]);
    expect((await joining).document).toMatchObject({ device: { name: "phone" } });
    expect(await owner.json(["device", "show", lost])).toMatchObject({ state: "revoked" });
  });

  it("tells the person who joins that somebody is asked", async () => {
    const { joining, joiner } = await askAbout("watch");
    await owner.json(["device", "approve", text(joiner["id"])]);
    expect((await joining).stderr).toContain(
      "waiting for somebody at the gatehouse to approve, up to 2 minutes",
    );
  });

  /** `device approve` at a terminal in this process, with what somebody types once a question stands there. */
  async function approveTyping(line: string, ...words: readonly string[]) {
    const keyboard = new PassThrough();
    const argv = ["device", "approve", ...words, "--home", owner.home];
    const { io, recorded } = createIo(argv, { isTTY: true, stdin: keyboard });
    const running = run(io);
    await vi.waitUntil(() => recorded().stderr.endsWith("Let it in? [y/N] "), 20_000);
    keyboard.write(`${line}\n`);
    return { exitCode: await running, ...recorded() };
  }

  it("asks at a terminal about everybody who waits", async () => {
    const { joining, window, joiner } = await askAbout("scale");
    const { exitCode, stderr, stdout } = await approveTyping("y");
    expect(stderr).toContain("scale");
    expect(stdout).toBe(`approved scale (${text(joiner["id"]).slice(0, 8)}…)\n`);
    expect([exitCode, (await joining).exitCode, await window.ended()]).toEqual([0, 0, 0]);
  });

  it("shows at a terminal whom it is about to let in, and decides nothing without a y", async () => {
    const { joining, joiner } = await askAbout("clock");
    const id = text(joiner["id"]);
    const { exitCode, stderr } = await approveTyping("", id.slice(0, 8));
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining("nothing was decided")]);
    expect(await owner.json(["device", "approve"])).toEqual({ joiners: [joiner] });
    await owner.json(["device", "approve", id]);
    expect((await joining).exitCode).toBe(0);
  });

  it.each([
    ["y", 0, /paired.* tv-y as member/],
    ["", 10, /was refused, and the window is closed/],
  ])("asks at the terminal where the window was opened: %j ends it with %i", async (line, exitCode, last) => {
    const keyboard = new PassThrough();
    const argv = ["pair", "open", "--require-approval", "--no-color", "--home", owner.home];
    const { io, recorded } = createIo(argv, { isTTY: true, stdin: keyboard });
    const opening = run(io);
    await vi.waitUntil(() => /--code \d{6}/.test(recorded().stdout), 20_000);
    const code = /--code (\d{6})/.exec(recorded().stdout)?.[1] ?? "";
    const device = resources.use(await Install.create());
    const join = ["pair", "join", daemon.address, "--code", code, "--name", `tv-${line}`, "--json"];
    const joining = device.outcome(join);
    await vi.waitUntil(() => recorded().stderr.endsWith("Let it in? [y/N] "), 20_000);
    keyboard.write(`${line}\n`);
    expect([await opening, (await joining).exit]).toEqual([exitCode, exitCode]);
    const { stdout, stderr } = recorded();
    expect(`${stdout}\n${stderr}`).toMatch(last);
    expect(stderr).not.toContain("closed the connection");
  });

  it("has nobody to refuse when nobody is named", async () => {
    expect(await owner.outcome(["device", "approve", "--deny"])).toEqual({
      exit: 2,
      code: "usage.bad-argument",
    });
  });
});
