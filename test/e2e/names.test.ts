import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Resources } from "../../src/core/index.ts";
import { Daemon, Install, isObject, text } from "../support/gatehouse-process.ts";
import { UdpRelay } from "../support/udp-relay.ts";

const resources = new Resources();
let home: Install;
let daemon: Daemon;

beforeAll(async () => {
  home = resources.use(await Install.create());
  daemon = resources.use(await home.serve(["--init", "--name", "hall"]));
});

afterAll(() => resources[Symbol.asyncDispose]());

async function openWindow(): Promise<{ window: Daemon; code: string }> {
  const window = new Daemon(home.spawn(["pair", "open", "--json"]));
  return { window, code: text((await window.event("open"))["code"]) };
}

describe("pairing from several installs of one machine", () => {
  it("gives each a name of its own when none is given", async () => {
    const names: unknown[] = [];
    for (const _ of ["first", "second"]) {
      const { window, code } = await openWindow();
      await using open = window;
      await using install = await Install.create();
      const { device } = await install.json(["pair", "join", daemon.address, "--code", code]);
      names.push(isObject(device) ? device["name"] : undefined);
      expect(await open.ended()).toBe(0);
    }
    expect(new Set(names).size).toBe(2);
    for (const name of names) expect(name).toMatch(/.-[a-z2-7]{4}$/);
  });

  it("refuses a name that is taken with 7 and what to do, and takes another one for the same code", async () => {
    const { window, code } = await openWindow();
    await using open = window;
    await using install = await Install.create();
    const join = ["pair", "join", daemon.address, "--code", code, "--name"];
    const taken = await install.run([...join, "hall", "--json"]);
    expect({ exit: taken.exitCode, code: taken.errorCode }).toEqual({ exit: 7, code: "device.name-taken" });
    const { error } = taken.document;
    expect(isObject(error) ? error["hint"] : undefined).toMatch(/name/);
    expect(await install.json([...join, "radio"])).toMatchObject({ device: { name: "radio" } });
    expect(await open.ended()).toBe(0);
  });

  it("gives up in the time that --timeout says when the link goes dead, and may try the code again", async () => {
    const { window, code } = await openWindow();
    await using open = window;
    await using install = await Install.create();
    await using relay = await UdpRelay.open(daemon.port, { direction: "to-server", count: 3 });
    const join = (address: string) => ["pair", "join", address, "--code", code, "--name", "lamp"];
    const startedMs = performance.now();
    expect(await install.outcome([...join(relay.address), "--timeout", "1s"])).toEqual({
      exit: 6,
      code: "quic.timed-out",
    });
    expect(performance.now() - startedMs).toBeLessThan(6_000);
    expect(relay.isCut).toBe(true);
    expect(await install.json(join(daemon.address))).toMatchObject({ device: { name: "lamp" } });
    expect(await open.ended()).toBe(0);
  });
});
