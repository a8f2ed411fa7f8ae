import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Resources } from "../../src/core/index.ts";
import { type Daemon, Install } from "../support/gatehouse-process.ts";
import { type PairedDevice, pairDevice } from "../support/paired-device.ts";

const DAY = 86_400_000;

/** What the owner does to devices, by the real program against a real daemon. */
describe("the owner's commands about devices", () => {
  const resources = new Resources();
  let owner: Install;
  let daemon: Daemon;
  let lamp: PairedDevice;

  beforeAll(async () => {
    owner = resources.use(await Install.create());
    daemon = resources.use(await owner.serve(["--init", "--open-pairing", "--name", "hall"]));
    lamp = resources.use(await pairDevice(daemon, "lamp"));
  });
  afterAll(() => resources[Symbol.asyncDispose]());

  it("list them by state, and know which states there are", async () => {
    const names = async (...words: readonly string[]) => {
      const { devices } = await owner.json(["device", "ls", ...words]);
      return (devices as readonly { readonly name: string }[]).map(({ name }) => name).sort();
    };
    expect(await names()).toEqual(["hall", "lamp"]);
    expect(await names("--state", "active")).toEqual(["hall", "lamp"]);
    expect(await names("--state", "held")).toEqual([]);
    expect(await owner.outcome(["device", "ls", "--state", "asleep"])).toEqual({
      ...{ exit: 2, code: "usage.bad-argument" },
    });
    const text = (await owner.run(["device", "ls"])).stdout.toString();
    expect(text).toMatch(/^NAME +ROLES +STATE +LAST SEEN +CERTIFICATE ENDS +ID$/m);
    expect(text).toMatch(new RegExp(`^lamp +member +active .* in \\d+ days +${lamp.id.slice(0, 8)}$`, "m"));
  });

  it("show everything about one, with what it may do", async () => {
    await lamp.install.json(["status"]);
    const shown = await owner.json(["device", "show", "lamp"]);
    expect(shown).toMatchObject({
      ...{ id: lamp.id, name: "lamp", roles: ["member"], role: "member", state: "active", kind: "cli" },
      ...{ lastWire: "quic", lastAddress: "127.0.0.1", connections: 0, readmittedUntil: 0, heldAt: 0 },
      certificateSerial: expect.stringMatching(/^[0-9a-f]{1,40}$/),
      ...{ certificateGeneration: 1, certificateExpiresAt: expect.any(Number) },
    });
    const right = (action: string, resource: string, allowed: boolean) => ({ action, resource, allowed });
    expect(shown["rights"]).toEqual(
      expect.arrayContaining([
        right("gatehouse:ping", "gatehouse", true),
        right("secret:reveal", "shared/…", true),
        right("secret:write", "shared/…", false),
        right("secret:write", `devices/${lamp.id}/…`, true),
        right("pair:open", "gatehouse", false),
      ]),
    );
    const text = (await owner.run(["device", "show", lamp.id.slice(0, 8)])).stdout.toString();
    expect(text).toMatch(
      /^may\n.*\n {2}shared\/… +[^\n]*secret:reveal.*\nmay not\n.* {2}gatehouse +[^\n]*pair:open/ms,
    );
  });

  it("rename them, but not to a name that another one has", async () => {
    expect(await owner.json(["device", "rename", "lamp", "torch"])).toMatchObject({
      id: lamp.id,
      name: "torch",
    });
    expect(await owner.outcome(["device", "rename", "torch", "hall"])).toEqual({
      ...{ exit: 7, code: "device.name-taken" },
    });
    expect((await owner.run(["device", "rename", "torch", "lamp"])).stdout.toString()).toBe(
      `torch is called lamp (${lamp.id.slice(0, 8)}…) now\n`,
    );
  });

  it("grant and take roles, which count from the next call on", async () => {
    expect(await lamp.install.outcome(["device", "ls"])).toEqual({ exit: 4, code: "authz.denied" });
    const granted = await owner.json(["device", "grant", "lamp", "owner"]);
    expect(granted).toMatchObject({ roles: ["member", "owner"], role: "member,owner" });
    expect(await lamp.install.json(["device", "ls"])).toHaveProperty("devices");
    expect(await owner.json(["device", "ungrant", "lamp", "owner"])).toMatchObject({ roles: ["member"] });
    expect(await lamp.install.outcome(["device", "ls"])).toEqual({ exit: 4, code: "authz.denied" });
    expect(await owner.outcome(["device", "grant", "lamp", "Not A Role"])).toMatchObject({ exit: 2 });
  });

  it("never leave the gatehouse without an owner", async () => {
    for (const words of [
      ["revoke", "hall"],
      ["ungrant", "hall", "owner"],
    ]) {
      expect(await owner.outcome(["device", ...words])).toEqual({ exit: 7, code: "device.last-owner" });
    }
  });

  it("readmit for a day, or as long as is asked, a week at most", async () => {
    const until = async (...words: readonly string[]) => {
      const { readmittedUntil } = await owner.json(["device", "readmit", "lamp", ...words]);
      return Number(readmittedUntil) - Date.now();
    };
    expect(Math.abs((await until()) - DAY)).toBeLessThan(60_000);
    expect(Math.abs((await until("--for", "2h")) - DAY / 12)).toBeLessThan(60_000);
    expect(await owner.outcome(["device", "readmit", "lamp", "--for", "8d"])).toEqual({
      ...{ exit: 2, code: "usage.bad-argument" },
    });
    expect((await owner.run(["device", "readmit", "lamp"])).stdout.toString()).toContain(
      "gatehouse device renew",
    );
  });

  it("release what is named or all that is held, and nothing when one name is wrong", async () => {
    expect(await owner.json(["device", "release", "lamp"])).toMatchObject({ id: lamp.id, state: "active" });
    expect(await owner.json(["device", "release", "lamp", "hall"])).toMatchObject({
      devices: [{ name: "lamp" }, { name: "hall" }],
    });
    expect(await owner.json(["device", "release", "--all-held"])).toEqual({ devices: [] });
    expect(await owner.outcome(["device", "release", "lamp", "nobody"])).toEqual({
      ...{ exit: 3, code: "device.not-found" },
    });
    for (const words of [[], ["lamp", "--all-held"]]) {
      expect(await owner.outcome(["device", "release", ...words])).toEqual({
        exit: 2,
        code: "usage.bad-argument",
      });
    }
  });

  it("leave the renewal of a certificate to its device, which can ask for another key, too", async () => {
    const serial = async () => (await owner.json(["device", "show", "lamp"]))["certificateSerial"];
    const serials = [await serial()];
    for (const words of [[], ["--new-key"]]) {
      expect(await lamp.install.json(["device", "renew", ...words])).toEqual({
        gatehouse: "hall",
        newKey: words.length > 0,
        certificate: { expiresAt: expect.any(Number) },
      });
      expect(await lamp.install.json(["status"])).toMatchObject({ name: "hall" });
      serials.push(await serial());
    }
    expect(new Set(serials).size).toBe(3);
    expect((await lamp.install.run(["device", "renew"])).stdout.toString()).toMatch(
      /^renewed the certificate at hall; it expires in \d+ days \(/,
    );
    expect(await owner.outcome(["device", "renew"])).toEqual({ exit: 2, code: "usage.bad-argument" });
  });

  it("are the owner's alone", async () => {
    for (const words of [
      ["rename", "lamp", "x"],
      ["grant", "lamp", "owner"],
      ["readmit", "lamp"],
      ["revoke", "hall"],
    ]) {
      expect(await lamp.install.outcome(["device", ...words])).toEqual({ exit: 4, code: "authz.denied" });
    }
  });
});
