import { execFileSync } from "node:child_process";
import { rename } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Resources } from "../../src/core/index.ts";
import { Daemon, Install, text } from "../support/gatehouse-process.ts";
import { type PairedDevice, pairDevice } from "../support/paired-device.ts";

/** What needs somebody, made to happen to a real gatehouse, and ended by the very command that status names. */
describe("status", () => {
  const resources = new Resources();
  let owner: Install;
  let daemon: Daemon;
  let lamp: PairedDevice;

  beforeAll(async () => {
    owner = resources.use(await Install.create());
    daemon = await owner.serve(["--init", "--open-pairing", "--name", "hall"]);
    lamp = resources.use(await pairDevice(daemon, "lamp"));
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await resources[Symbol.asyncDispose]();
  });

  const words = async () => (await owner.run(["status"])).stdout.toString();

  it("says nothing more while all is well, and when the gatehouse's certificate ends", async () => {
    expect(await owner.json(["status"])).toMatchObject({
      ...{ quarantinedDevices: 0, heldDevices: 0, burntCodes: 0, certificateExpiresAt: expect.any(Number) },
    });
    const { clockSkewMs } = await owner.json(["status"]);
    expect(Math.abs(Number(clockSkewMs))).toBeLessThan(5_000);
    expect(await words()).toMatch(/^certificate +expires in \d+ days .*$/m);
    expect(await words()).not.toContain("gatehouse device release");
  });

  it("tells of a code that somebody guessed at, which pair open gave the alarm for", async () => {
    await using window = new Daemon(owner.spawn(["pair", "open", "--json"]));
    const { code } = await window.event("open");
    const wrong = String((Number(text(code)) + 1) % 1_000_000).padStart(6, "0");
    const stranger = resources.use(await Install.create());
    expect(await stranger.outcome(["pair", "join", daemon.address, "--code", wrong])).toMatchObject({
      exit: 5,
    });
    expect(await window.ended()).toBe(5);
    expect(window.events.at(-1)).toMatchObject({
      error: { code: "pairing.code-burnt", hint: expect.stringContaining("--uri-only") },
    });
    expect(await owner.json(["status"])).toMatchObject({ burntCodes: 1 });
    expect(await words()).toMatch(/^1 pairing code burnt by a wrong guess .*pair open --uri-only --home/m);
  });

  it("tells of devices held since a restore, which are let in by the command it names", async () => {
    const { port } = daemon;
    await daemon.stop();
    execFileSync("cp", ["-a", owner.home, `${owner.home}-copy`]);
    await rename(owner.home, `${owner.home}-before`);
    await rename(`${owner.home}-copy`, owner.home);
    daemon = await owner.serve([], `127.0.0.1:${port}`);
    expect(await lamp.install.outcome(["status"])).toEqual({ exit: 5, code: "device.held" });
    expect(await owner.json(["status"])).toMatchObject({ heldDevices: 1 });
    expect(await words()).toMatch(/^1 device held, .*device release --all-held --home/m);
    expect(await owner.json(["device", "ls", "--state", "held"])).toMatchObject({
      devices: [{ name: "lamp", state: "held", heldAt: expect.any(Number) }],
    });
    expect(await owner.json(["device", "release", "--all-held"])).toMatchObject({
      devices: [{ name: "lamp", state: "active", heldAt: 0 }],
    });
    expect(await lamp.install.json(["status"])).toMatchObject({ heldDevices: 0 });
  });
});
