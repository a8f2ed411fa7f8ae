import { afterEach, describe, expect, it } from "vitest";
import { DEFAULT_DEVICE_LIMITS, type DeviceLimits } from "../../src/config/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { codeOr } from "./deploys.ts";
import { bytes, idOf, World } from "./support.ts";

const { Device, Health, Policy, Tools, Vault } = METHODS;
const TOOLS = { hello: { command: ["/bin/echo", "hello"], allow_same_user: true, concurrency: 8 } };

let world: World;

async function limited(limits: Partial<DeviceLimits>): Promise<void> {
  world = await World.open(() => ({ limits: { ...DEFAULT_DEVICE_LIMITS, ...limits } }), TOOLS);
}

afterEach(() => world[Symbol.asyncDispose]());

const status = (name: string) => world.call(name, Health.Status, {});
const get = (name: string, path: string) => world.call(name, Vault.Get, { path });
const tooMany = (retryAfterMs: number) => ({ code: "rpc.rate-limited", retryAfterMs });

describe("calls of one device", () => {
  it("are so many in a while, with the time to wait in the refusal; others' and pings do not count", async () => {
    await limited({ calls: { count: 3, periodMs: 3_000 } });
    for (let count = 0; count < 3; count += 1) await status("phone");
    await expect(status("phone")).rejects.toMatchObject(tooMany(1_000));
    for (let count = 0; count < 9; count += 1) await world.call("phone", Health.Ping, {});
    await status("laptop");
    world.parts.clock.advance(500);
    await expect(status("phone")).rejects.toMatchObject(tooMany(500));
    world.parts.clock.advance(500);
    await status("phone");
    await expect(status("phone")).rejects.toMatchObject(tooMany(1_000));
    // A long pause fills it up to the brim, no further.
    world.parts.clock.advance(3_600_000);
    for (let count = 0; count < 3; count += 1) await status("phone");
    await expect(status("phone")).rejects.toMatchObject(tooMany(1_000));
    const lines = (await world.auditLines()).filter((line) => line.startsWith("phone gatehouse:status"));
    expect(lines).toHaveLength(7);
  });

  it("go by the clock that is never set back or forth", async () => {
    await limited({ calls: { count: 1, periodMs: 1_000 } });
    await status("phone");
    world.parts.clock.stepWall(86_400_000);
    await expect(status("phone")).rejects.toMatchObject(tooMany(1_000));
    world.parts.clock.stepWall(-172_800_000);
    await expect(status("phone")).rejects.toMatchObject(tooMany(1_000));
  });
});

describe("calls that are denied", () => {
  it("are fewer, and those above leave no record; allowed ones go on", async () => {
    await limited({ denials: { count: 2, periodMs: 2_000 } });
    for (let count = 0; count < 2; count += 1) {
      await expect(get("guest", "top/a")).rejects.toMatchObject({ code: "authz.denied" });
    }
    const before = (await world.audited()).length;
    await expect(get("guest", "top/a")).rejects.toMatchObject(tooMany(1_000));
    await expect(world.call("guest", Device.Revoke, { device: "nobody" })).rejects.toMatchObject(
      tooMany(1_000),
    );
    await expect(world.stream("guest", Tools.Run, { name: "hello" }).next()).rejects.toMatchObject(
      tooMany(1_000),
    );
    expect(await world.audited()).toHaveLength(before);
    await status("guest");
    await expect(get("phone", "top/a")).rejects.toMatchObject({ code: "authz.denied" });
    world.parts.clock.advance(1_000);
    await expect(get("guest", "top/a")).rejects.toMatchObject({ code: "authz.denied" });
  });

  it("include those that their handlers decide", async () => {
    await limited({ denials: { count: 1, periodMs: 1_000 } });
    const explain = () =>
      world.call("phone", Policy.Explain, {
        device: "guest",
        action: "gatehouse:ping",
        resource: "gatehouse",
      });
    const text = 'permit (principal in Role::"member", action == Action::"policy:read", resource);';
    await world.call("owner", Policy.Put, { id: "read", text });
    await expect(explain()).rejects.toMatchObject({ code: "authz.denied" });
    await expect(explain()).rejects.toMatchObject(tooMany(1_000));
  });
});

describe("calls for one action", () => {
  it("have a limit of their own where there is one, with the time to wait in the refusal", async () => {
    await limited({ actions: new Map([["tool:run", { count: 3, periodMs: 60_000 }]]) });
    const run = (name: string) => world.stream("owner", Tools.Run, { name }).next();
    // Also for what there is not: whoever asks pays before anything is looked at.
    await expect(run("nothing")).rejects.toMatchObject({ code: "tool.not-found" });
    await run("hello");
    await run("hello");
    await expect(run("hello")).rejects.toMatchObject(tooMany(20_000));
    // Neither other actions, nor others.
    await world.call("owner", Tools.List, {});
    await world.stream("second", Tools.Run, { name: "hello" }).next();
    world.parts.clock.advance(20_000);
    expect(await run("hello")).toMatchObject({ value: { started: expect.anything() } });
  });

  it("do not count while they are denied: that has its own limit", async () => {
    await limited({ actions: new Map([["secret:reveal", { count: 1, periodMs: 1_000 }]]) });
    await world.call("owner", Vault.Put, { path: "shared/db", value: bytes("v") });
    for (let count = 0; count < 3; count += 1) {
      await expect(get("phone", "top/a")).rejects.toMatchObject({ code: "authz.denied" });
    }
    await get("phone", "shared/db");
    await expect(get("phone", "shared/db")).rejects.toMatchObject({
      ...tooMany(1_000),
      message: expect.stringContaining("secret:reveal"),
    });
  });
});

describe("the folder of a device's own", () => {
  const own = (name: string) => `devices/${idOf("phone")}/${name}`;
  const put = (by: string, path: string, size: number) =>
    codeOr(async () => {
      const value = new Uint8Array(size).fill(7);
      return String((await world.call(by, Vault.Put, { path, value })).version);
    });

  it("takes so much of that device, and more of those whom policies let write there", async () => {
    await limited({ ownFolderBytes: 20_000 });
    expect(await put("phone", own("a"), 8_000)).toBe("1");
    expect(await put("phone", own("b"), 11_500)).toBe("vault.full");
    expect(await put("phone", own("b"), 6_000)).toBe("1");
    // Each version counts.
    expect(await put("phone", own("a"), 8_000)).toBe("vault.full");
    expect(await put("owner", own("c"), 15_000)).toBe("1");
    expect(await put("phone", own("d"), 1)).toBe("vault.full");
    expect(await put("laptop", `devices/${idOf("laptop")}/a`, 12_000)).toBe("1");
    for (const name of ["a", "c"]) await world.call("owner", Vault.Destroy, { path: own(name) });
    expect(await put("phone", own("d"), 8_000)).toBe("1");
  });

  it("is not overfilled by calls side by side, nor after a restart", async () => {
    await limited({ ownFolderBytes: 20_000 });
    const many = await Promise.all([0, 1, 2, 3].map((index) => put("phone", own(`a${index}`), 8_000)));
    expect(many.sort()).toEqual(["1", "1", "vault.full", "vault.full"]);
    world = await world.restart();
    expect(await put("phone", own("b"), 8_000)).toBe("vault.full");
    expect(await put("phone", own("c"), 500)).toBe("1");
  });
});
