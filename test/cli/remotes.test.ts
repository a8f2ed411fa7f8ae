import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Resources } from "../../src/core/index.ts";
import { type Daemon, Install } from "../support/gatehouse-process.ts";
import { type PairedDevice, pairDevice } from "../support/paired-device.ts";

/** The client's own list of gatehouses, by the real program. */
describe("remote", () => {
  const resources = new Resources();
  let daemon: Daemon;
  let device: PairedDevice;

  beforeAll(async () => {
    const owner = resources.use(await Install.create());
    daemon = resources.use(await owner.serve(["--init", "--open-pairing", "--name", "hall"]));
    device = resources.use(await pairDevice(daemon, "lamp"));
  });
  afterAll(() => resources[Symbol.asyncDispose]());

  const remote = (...words: readonly string[]) => device.install.json(["remote", ...words]);
  const outcome = (...words: readonly string[]) => device.install.outcome(["remote", ...words]);

  it("set follows a gatehouse that moved, in either spelling", async () => {
    expect(await remote("set", "hall", "127.0.0.1:1")).toEqual({
      remote: { name: "hall", address: "127.0.0.1:1", grpc: "127.0.0.1:1" },
    });
    expect(await device.install.outcome(["status", "--timeout", "1s"])).toMatchObject({ exit: 6 });
    expect(await remote("set", "hall", "--address", daemon.address)).toEqual({
      remote: { name: "hall", address: daemon.address, grpc: daemon.address },
    });
    expect(await device.install.json(["status"])).toMatchObject({ name: "hall" });
  });

  it("set --name calls it otherwise here, and only here", async () => {
    await remote("default", "hall");
    expect(await remote("set", "hall", "--name", "home")).toEqual({
      remote: { name: "home", address: daemon.address, grpc: daemon.address },
    });
    expect(await remote("ls")).toMatchObject({ remotes: [{ name: "home", isDefault: true }] });
    expect(await device.install.json(["status", "--on", "home"])).toMatchObject({ name: "hall" });
    expect(await outcome("set", "hall", "--name", "x")).toEqual({ exit: 3, code: "remote.not-found" });
  });

  it("set wants something to change that can be", async () => {
    for (const words of [[], ["--address", "nowhere:x"], ["--name", ""], ["--name", "a\u001bb"]]) {
      expect(await outcome("set", "home", ...words)).toEqual({ exit: 2, code: "usage.bad-argument" });
    }
  });

  it("rm forgets it, and says that it still knows this device", async () => {
    expect(await outcome("rm", "nowhere")).toEqual({ exit: 3, code: "remote.not-found" });
    const removed = await device.install.run(["remote", "rm", "home"]);
    expect(removed.stdout.toString()).toBe(
      "forgot home; it still knows this device until it is revoked there: gatehouse device revoke lamp\n",
    );
    expect(await remote("ls")).toEqual({ remotes: [] });
    expect(await device.install.outcome(["status"])).toEqual({ exit: 5, code: "remote.none" });
  });
});
