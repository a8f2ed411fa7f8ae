import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type JoinOptions, joinGatehouse, Remotes } from "../../src/client/index.ts";
import { systemRandom } from "../../src/core/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import { ScriptedGatehouse } from "./scripted-gatehouse.ts";

let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "gatehouse-join-"));
});

afterEach(() => rm(home, { recursive: true, force: true }));

const device = { name: "laptop", kind: "cli", platform: "linux x64" };

const joining = (target: string, more: Partial<JoinOptions> = {}) =>
  joinGatehouse({ home, target, ...device, ...more });

describe("joining", () => {
  it("by code stores what to pin, with a private key that never left the home", async () => {
    await using gatehouse = await ScriptedGatehouse.open();
    const joined = await joining(gatehouse.address, { code: gatehouse.code });
    expect(joined).toMatchObject({
      gatehouse: { name: "home", deviceId: gatehouse.id },
      device: { name: "laptop", role: "member" },
    });
    const remote = await Remotes.of(home).resolve("home");
    expect(remote).toMatchObject({
      gatehouseId: gatehouse.id,
      address: gatehouse.address,
      deviceName: "laptop",
      certificateExpiresAt: joined.certificate.expiresAt,
    });
    expect(gatehouse.enrolled).toBe(1);
    expect(gatehouse.isAccepting).toBe(false);
    expect(await readFile(join(home, "remotes.json"), "utf8")).not.toContain("PRIVATE");
  });

  it("by URI needs no code", async () => {
    await using gatehouse = await ScriptedGatehouse.open();
    expect((await joining(gatehouse.uri)).gatehouse.deviceId).toBe(gatehouse.id);
  });

  it("fails on a wrong code, stores nothing, and does not try it again", async () => {
    await using gatehouse = await ScriptedGatehouse.open();
    await expect(joining(gatehouse.address, { code: gatehouse.wrongCode })).rejects.toMatchObject({
      code: "pairing.wrong-code",
      exitCode: 5,
    });
    expect(gatehouse.connections).toBe(1);
    expect(await Remotes.of(home).list()).toEqual([]);
  });

  it("asks for a code that is one, and for an address or URI that is one, before it sends anything", async () => {
    const cases: readonly [string, Partial<JoinOptions>, string][] = [
      ["127.0.0.1:9", {}, "pairing.bad-code"],
      ["127.0.0.1:9", { code: "12345" }, "pairing.bad-code"],
      ["nonsense", { code: "123456" }, "usage.bad-argument"],
      ["gatehouse://nonsense", {}, "pairing.bad-uri"],
    ];
    for (const [target, more, code] of cases) {
      await expect(joining(target, more)).rejects.toMatchObject({ code, exitCode: 2 });
    }
  });

  it("says that no window is open when there is none", async () => {
    await using gatehouse = await ScriptedGatehouse.open();
    gatehouse.closeWindow();
    await expect(joining(gatehouse.address, { code: gatehouse.code })).rejects.toMatchObject({
      code: "pairing.closed",
      exitCode: 5,
    });
  });

  it("is not fooled by another gatehouse at the URI's address", async () => {
    await using gatehouse = await ScriptedGatehouse.open();
    await using other = await ScriptedGatehouse.open();
    const uri = gatehouse.uri.replace(gatehouse.address, other.address);
    await expect(joining(uri)).rejects.toMatchObject({ code: "pairing.wrong-gatehouse" });
    expect(other.enrolled).toBe(0);
  });

  // Messages of the gatehouse: 1 hello, 2 share, 3 confirmation, 4 grant.
  it.each([1, 2, 4])(
    "goes on over a new connection when the link breaks before message %d",
    async (message) => {
      await using gatehouse = await ScriptedGatehouse.open({ cutBefore: message, cuts: 1 });
      const joined = await joining(gatehouse.address, { code: gatehouse.code });
      expect(joined.gatehouse.deviceId).toBe(gatehouse.id);
      expect(gatehouse.connections).toBe(2);
      expect(gatehouse.enrolled).toBe(1);
    },
  );

  it("gives nobody a second guess at its code: a proof without an answer is the last", async () => {
    await using gatehouse = await ScriptedGatehouse.open({ cutBefore: 3, cuts: 1 });
    await expect(joining(gatehouse.address, { code: gatehouse.code })).rejects.toMatchObject({
      code: "quic.closed",
      hint: expect.stringContaining("do not use this code again"),
    });
    expect(gatehouse.connections).toBe(1);
  });

  it("goes on by URI there, where guessing is hopeless", async () => {
    await using gatehouse = await ScriptedGatehouse.open({ cutBefore: 3, cuts: 1 });
    expect((await joining(gatehouse.uri)).gatehouse.deviceId).toBe(gatehouse.id);
    expect(gatehouse.connections).toBe(2);
  });

  it("waits for somebody's yes, and says so", async () => {
    await using gatehouse = await ScriptedGatehouse.open({ verdict: "approve" });
    const pending: number[] = [];
    const onPending = (timeoutMs: number): void => void pending.push(timeoutMs);
    const joined = await joining(gatehouse.address, { code: gatehouse.code, onPending });
    expect(joined.gatehouse.deviceId).toBe(gatehouse.id);
    expect(pending).toHaveLength(1);
    expect(pending[0]).toBeGreaterThan(0);
    expect(gatehouse.enrolled).toBe(1);
  });

  it("gets what was granted while its link was down, over a new one", async () => {
    await using gatehouse = await ScriptedGatehouse.open({ verdict: "approve", cutsWhenAsked: true });
    const joined = await joining(gatehouse.address, { code: gatehouse.code });
    expect(joined.gatehouse.deviceId).toBe(gatehouse.id);
    expect(gatehouse.connections).toBe(2);
    expect(gatehouse.enrolled).toBe(1);
  });

  it("stores nothing after a no, and does not ask again", async () => {
    await using gatehouse = await ScriptedGatehouse.open({ verdict: "deny" });
    await expect(joining(gatehouse.address, { code: gatehouse.code })).rejects.toMatchObject({
      code: "pairing.denied",
      exitCode: 10,
    });
    expect(gatehouse.connections).toBe(1);
    expect(gatehouse.enrolled).toBe(0);
    expect(await Remotes.of(home).list()).toEqual([]);
  });

  it("takes the place of the device of its name when it says so, and somebody agrees", async () => {
    const holder = DeviceIdentity.generate(systemRandom).id;
    await using gatehouse = await ScriptedGatehouse.open({ verdict: "approve", holder });
    const joined = await joining(gatehouse.address, { code: gatehouse.code, replace: true });
    expect(gatehouse.replaced).toBe(holder);
    expect(joined.device.id).not.toBe(holder);
  });

  it("does not take it otherwise, and hears how it could", async () => {
    const holder = DeviceIdentity.generate(systemRandom).id;
    await using gatehouse = await ScriptedGatehouse.open({ verdict: "approve", holder });
    await expect(joining(gatehouse.address, { code: gatehouse.code })).rejects.toMatchObject({
      code: "device.name-taken",
      hint: expect.stringContaining("--replace"),
    });
    expect(gatehouse.enrolled).toBe(0);
  });

  it("waits while somebody else tries the code", async () => {
    await using gatehouse = await ScriptedGatehouse.open();
    gatehouse.occupy(500);
    const joined = await joining(gatehouse.address, { code: gatehouse.code });
    expect(joined.gatehouse.deviceId).toBe(gatehouse.id);
    expect(gatehouse.connections).toBeGreaterThan(1);
  });

  it("ends when it is cancelled", async () => {
    await using gatehouse = await ScriptedGatehouse.open({ isSilent: true });
    const controller = new AbortController();
    const joined = joining(gatehouse.address, { code: gatehouse.code, signal: controller.signal });
    await gatehouse.firstStream;
    controller.abort();
    await expect(joined).rejects.toMatchObject({ code: "rpc.cancelled" });
  });
});
