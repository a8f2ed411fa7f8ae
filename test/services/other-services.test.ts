import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { equalBytes, GatehouseError } from "../../src/core/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { settled } from "../support/memory-wire.ts";
import { bytes, idOf, World } from "./support.ts";

const { Device, Health, Pairing } = METHODS;

let world: World;

beforeEach(async () => {
  world = await World.open();
});

afterEach(async () => {
  await world[Symbol.asyncDispose]();
});

describe("Health", () => {
  it("echoes a ping up to 64 KiB", async () => {
    const payload = new Uint8Array(65_536).fill(3);
    const answer = await world.call("guest", Health.Ping, { payload });
    expect(equalBytes(answer.payload, payload)).toBe(true);
    const larger = world.call("guest", Health.Ping, { payload: new Uint8Array(65_537) });
    await expect(larger.then(() => "answered")).rejects.toMatchObject({ code: "usage.bad-argument" });
  });

  it("says who the gatehouse is and how it is", async () => {
    const { version, services } = await world.call("guest", Health.Info, {});
    expect(version).toBe((await world.call("guest", Health.Status, {})).version);
    expect(services).toEqual([...services].sort());
    expect(services).toEqual(expect.arrayContaining(["gatehouse.v1.Health", "gatehouse.v1.Vault"]));
    expect(await world.call("guest", Health.Status, {})).toMatchObject({
      ...{ name: "home", deviceId: idOf("gatehouse"), fingerprint: "ab12", state: "serving", reason: "" },
      ...{ quic: "127.0.0.1:7443", devices: 5, version: "1.2.3" },
    });
  });
});

describe("Device", () => {
  it("lists all devices in pages", async () => {
    const names: string[] = [];
    let pageToken = "";
    do {
      const page = await world.call("owner", Device.List, { pageSize: 2, pageToken });
      expect(page.devices.length).toBeLessThanOrEqual(2);
      names.push(...page.devices.map(({ name }) => name ?? ""));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(names).toEqual(["owner", "second", "phone", "laptop", "guest"]);
    const stray = world.call("owner", Device.List, { pageToken: "nobody" });
    await expect(stray).rejects.toMatchObject({ code: "usage.bad-argument" });
  });

  it("shows one by name, id or the beginning of its id", async () => {
    const id = idOf("phone");
    for (const device of ["phone", id, id.slice(0, 8), id.toUpperCase()]) {
      const shown = await world.call("owner", Device.Show, { device });
      expect(shown.connections).toBe(3);
      expect(shown.device).toMatchObject({
        ...{ id, name: "phone", roles: ["member"], state: "active", kind: "cli", platform: "linux" },
        ...{ pairedAt: 3, lastSeenAt: 0, revokedAt: 0, certificateExpiresAt: 1_800_000_000_000 },
      });
    }
    const nobody = world.call("owner", Device.Show, { device: "nobody" });
    await expect(nobody).rejects.toMatchObject({ code: "device.not-found" });
  });

  it("revokes a device for good, once, and says so on record", async () => {
    const requestId = new Uint8Array(16).fill(9);
    const revoke = () => world.call("owner", Device.Revoke, { device: "phone" }, { requestId });
    const first = await revoke();
    expect(first).toMatchObject({ id: idOf("phone"), state: "revoked", revokedAt: world.parts.clock.now() });
    world.parts.clock.advance(1_000);
    expect(await revoke()).toMatchObject({ state: "revoked", revokedAt: first.revokedAt });
    const resource = `device:${idOf("phone")}`;
    const done = (await world.audited()).filter(({ event }) => event.outcome === "done");
    expect(done.map(({ event }) => event)).toMatchObject([{ action: "device:revoke", resource }]);
  });

  it("shows what came to the door to those who may read the audit log only", async () => {
    const owner = await world.call("owner", Health.Status, {});
    expect(Object.fromEntries(owner.counters.map(({ name, value }) => [name, value]))).toEqual({
      ...{ retries: 7, earlyAccepted: 0, earlyReplayed: 0, earlyUnremembered: 0, earlyUnfit: 0 },
    });
    expect((await world.call("phone", Health.Status, {})).counters).toEqual([]);
  });

  it("releases a quarantined device, on record, and leaves others as they are", async () => {
    const { vault, audit } = world.parts;
    const setup = audit.encodeEvent({ action: "test:setup", resource: "-", outcome: "done" });
    await vault.devices.quarantine(idOf("phone"), 7, { audit: setup });
    const shown = await world.call("owner", Device.Show, { device: "phone" });
    expect(shown.device).toMatchObject({ state: "quarantined", quarantinedAt: 7 });
    const status = await world.call("owner", Health.Status, {});
    expect(status).toMatchObject({ devices: 4, quarantinedDevices: 1 });
    const release = (device: string) => world.call("owner", Device.Release, { device });
    expect(await release("phone")).toMatchObject({ state: "active", quarantinedAt: 0 });
    expect(await release("laptop")).toMatchObject({ state: "active" });
    await world.call("owner", Device.Revoke, { device: "laptop" });
    expect(await release("laptop")).toMatchObject({ state: "revoked" });
    await expect(release("nobody")).rejects.toMatchObject({ code: "device.not-found" });
    const lines = (await world.auditLines()).filter((line) => line.startsWith("owner device:release"));
    expect(lines).toEqual([
      `owner device:release device:${idOf("phone")} done`,
      `owner device:release device:${idOf("laptop")} done`,
      `owner device:release device:${idOf("laptop")} done`,
    ]);
  });

  it("keeps the last owner", async () => {
    await world.call("owner", Device.Revoke, { device: "second" });
    const last = world.call("owner", Device.Revoke, { device: "owner" });
    await expect(last).rejects.toMatchObject({ code: "device.last-owner" });
    await expect(world.call("owner", Health.Ping, {})).resolves.toBeDefined();
  });

  it.each([
    ["Revoke", (device: string) => world.call("phone", Device.Revoke, { device })],
    ["Show", (device: string) => world.call("phone", Device.Show, { device })],
    ["Grant", (device: string) => world.call("phone", Device.Grant, { device, role: "ci" })],
  ])("does not tell by %s whether a device exists to whom may not list them", async (_name, ask) => {
    const answers = await Promise.all(
      ["laptop", "nobody"].map((device) => ask(device).catch((error: unknown) => error)),
    );
    expect(answers[0]).toMatchObject({ code: "authz.denied" });
    expect(answers[1]).toEqual(answers[0]);
  });

  it("are renamed, given roles and relieved of them, once, with what was said on record", async () => {
    const call = { device: "phone" } as const;
    expect(await world.call("owner", Device.Grant, { ...call, role: "ci" })).toMatchObject({
      roles: ["ci", "member"],
    });
    expect(await world.call("owner", Device.Ungrant, { ...call, role: "member" })).toMatchObject({
      roles: ["ci"],
    });
    expect(await world.call("owner", Device.Rename, { ...call, name: "handset" })).toMatchObject({
      name: "handset",
    });
    await expect(world.call("owner", Device.Grant, { ...call, role: "No Role" })).rejects.toMatchObject({
      code: "device.not-found",
    });
    const handset = { device: "handset" };
    for (const name of ["", " x", "a\u0007", "x".repeat(65)]) {
      const renaming = world.call("owner", Device.Rename, { ...handset, name });
      await expect(renaming).rejects.toMatchObject({ code: "usage.bad-argument" });
    }
    const granting = world.call("owner", Device.Grant, { ...handset, role: "No Role" });
    await expect(granting).rejects.toMatchObject({ code: "usage.bad-argument" });
    const details = (await world.audited()).map(({ event }) => event.detail);
    expect(details).toEqual(
      expect.arrayContaining([{ role: "ci" }, { role: "member" }, { name: "handset" }]),
    );
  });

  it("show what they may do, as policies say now", async () => {
    const allowed = async (): Promise<string[]> => {
      const { rights } = await world.call("owner", Device.Show, { device: "phone" });
      return rights.filter((right) => right.allowed).map(({ action, resource }) => `${action} ${resource}`);
    };
    const before = await allowed();
    expect(before).toContain(`secret:write devices/${idOf("phone")}/…`);
    expect(before).toContain("secret:reveal shared/…");
    expect(before).not.toContain("secret:write shared/…");
    // The gatehouse's own command line, too, of which a device is the gatehouse itself.
    const { rights } = await world.call("owner", Device.Show, { device: "second" });
    expect(rights.filter((right) => !right.allowed)).toEqual([]);
    await world.call("owner", Device.Ungrant, { device: "phone", role: "member" });
    expect(await allowed()).toEqual(["gatehouse:ping gatehouse", "gatehouse:status gatehouse"]);
  });

  it("are readmitted for a day unless told otherwise, and for a week at most", async () => {
    const day = await world.call("owner", Device.Readmit, { device: "phone" });
    expect(day.readmittedUntil).toBe(world.parts.clock.now() + 86_400_000);
    const readmit = (ttlMs: number) => world.call("owner", Device.Readmit, { device: "phone", ttlMs });
    expect((await readmit(60_000)).readmittedUntil).toBe(world.parts.clock.now() + 60_000);
    await expect(readmit(7 * 86_400_000 + 1)).rejects.toMatchObject({ code: "usage.bad-argument" });
  });
});

describe("a device whose certificate has run out", () => {
  it("is not renewed any more when its readmission is over, though its connection lives on", async () => {
    const readmitted = await world.call("owner", Device.Readmit, { device: "phone", ttlMs: 60_000 });
    expect(readmitted.readmittedUntil).toBeGreaterThan(0);
    world.access = "renewal";
    const renew = () => world.call("phone", Device.Renew, { certificateRequest: bytes("request") });
    expect((await renew()).certificate).toBeDefined();
    world.parts.clock.advance(60_000);
    await expect(renew()).rejects.toMatchObject({ code: "certificate.expired" });
  });

  it("may ask for a renewal and for nothing else", async () => {
    await world.call("owner", Device.Readmit, { device: "owner" });
    world.access = "renewal";
    await expect(world.call("owner", Device.Renew, {})).rejects.toMatchObject({
      code: "certificate.bad-request",
    });
    for (const call of [
      () => world.call("owner", METHODS.Health.Ping, {}),
      () => world.call("owner", METHODS.Vault.List, {}),
      () => world.call("owner", Device.Revoke, { device: "phone" }),
      () => world.stream("owner", METHODS.Pairing.Open, {}).next(),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: "device.renewal-only" });
    }
  });
});

describe("a stream of answers", () => {
  it("ends as soon as its caller may not have it any more", async () => {
    world.parts.windows.events = [{ kind: "opened", code: "123456", uri: "gatehouse://x", expiresAt: 9 }];
    const stream = world.stream("second", METHODS.Pairing.Open, {});
    await stream.next();
    const ended = stream.next().catch((failure: unknown) => failure);
    await world.call("owner", Device.Grant, { device: "second", role: "ci" });
    await world.call("owner", Device.Ungrant, { device: "second", role: "owner" });
    expect(await ended).toMatchObject({
      code: "authz.denied",
      message: expect.not.stringContaining("allowed"),
    });
    await settled();
    expect(world.parts.windows.isClosed).toBe(true);
  });
});

describe("Pairing", () => {
  const opened = { kind: "opened", code: "123456", uri: "gatehouse://x", expiresAt: 9 } as const;
  const device = { deviceId: "d", name: "tablet", role: "member" };

  it("tells what happens at the window, and ends with it", async () => {
    world.parts.windows.events = [opened, { kind: "paired", device }];
    world.parts.windows.staysOpen = false;
    const events = [];
    for await (const event of world.stream("owner", Pairing.Open, { role: "member", ttlMs: 60_000 })) {
      events.push(event);
    }
    const { kind: _kind, ...fields } = opened;
    expect(events).toMatchObject([{ opened: fields }, { paired: device }]);
    expect(world.parts.windows.opened).toMatchObject([
      { role: "member", ttlMs: 60_000, code: "unless-paused" },
    ]);
  });

  it("opens for members and two minutes unless told otherwise", async () => {
    world.parts.windows.events = [{ kind: "expired" }];
    await world.stream("owner", Pairing.Open, {}).next();
    expect(world.parts.windows.opened).toMatchObject([
      { role: "member", ttlMs: 120_000, code: "unless-paused" },
    ]);
  });

  it.each([
    [{ uriOnly: true }, "none"],
    [{ force: true }, "forced"],
    [{ uriOnly: true, force: true }, "none"],
  ] as const)("opens with %j as a window whose code is %s", async (request, code) => {
    world.parts.windows.events = [{ kind: "expired" }];
    await world.stream("owner", Pairing.Open, request).next();
    expect(world.parts.windows.opened).toMatchObject([{ code }]);
  });

  it.each([{ ttlMs: 600_001 }, { role: "No Role" }])("refuses %j and opens nothing", async (request) => {
    const stream = world.stream("owner", Pairing.Open, request);
    await expect(stream.next()).rejects.toMatchObject({ code: "usage.bad-argument" });
    expect(world.parts.windows.opened).toEqual([]);
  });

  it("closes the window when its caller leaves", async () => {
    world.parts.windows.events = [opened];
    const stream = world.stream("owner", Pairing.Open, {});
    await stream.next();
    expect(world.parts.windows.isClosed).toBe(false);
    await stream.return?.();
    await settled();
    expect(world.parts.windows.isClosed).toBe(true);
  });

  it("closes the window when its caller's connection goes", async () => {
    world.parts.windows.events = [opened];
    const abort = new AbortController();
    const stream = world.stream("owner", Pairing.Open, {}, { signal: abort.signal });
    await stream.next();
    abort.abort();
    await settled();
    expect(world.parts.windows.isClosed).toBe(true);
  });
});

describe("a request id", () => {
  it("ties no read to another", async () => {
    const requestId = new Uint8Array(16).fill(1);
    await world.call("owner", METHODS.Vault.Put, { path: "shared/a", value: bytes("1") });
    const read = () => world.call("owner", METHODS.Vault.Get, { path: "shared/a" }, { requestId });
    expect((await read()).version).toBe(1);
    await world.call("owner", METHODS.Vault.Put, { path: "shared/a", value: bytes("2") });
    expect((await read()).version).toBe(2);
  });
});

describe("Authority", () => {
  const { Authority } = METHODS;
  const requestId = new Uint8Array(16).fill(3);

  it("rotates once for a request that comes again under its id, whether answered by then or not", async () => {
    let rotations = 0;
    await using own = await World.open(({ authority }) => ({
      authority: {
        ...authority,
        rotate: async () => {
          rotations += 1;
          if (rotations > 1) throw new GatehouseError("ca.rotating", "generation 2 is being introduced");
        },
      },
    }));
    const rotate = () => own.call("owner", Authority.Rotate, {}, { requestId });
    const answers = [...(await Promise.all([rotate(), rotate()])), await rotate()];
    expect(answers.map(({ serverCertificateSerial }) => serverCertificateSerial)).toEqual(["0a", "0a", "0a"]);
    expect(rotations).toBe(1);
    const anew = own.call("owner", Authority.Rotate, {}, { requestId: new Uint8Array(16).fill(4) });
    await expect(anew).rejects.toMatchObject({ code: "ca.rotating" });
  });

  it("refuses another request under a used id, which another device may use as well", async () => {
    const renew = (name: string, newKey: boolean) =>
      world.call(name, Authority.RenewServer, { newKey }, { requestId });
    await renew("owner", false);
    await expect(renew("owner", true)).rejects.toMatchObject({ code: "rpc.request-mismatch" });
    expect(await renew("second", true)).toMatchObject({ serverCertificateSerial: "0a" });
  });
});
