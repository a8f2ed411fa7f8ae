import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Remote, Remotes } from "../../src/client/index.ts";
import { LIMITS, systemRandom, unixMs } from "../../src/core/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import { TsxChild } from "../support/tsx-child.ts";
import { ADDER_PATH } from "./remote-adder.ts";

let home: string;
let remotes: Remotes;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "gatehouse-remotes-"));
  remotes = Remotes.of(home);
});

afterEach(() => rm(home, { recursive: true, force: true }));

function remote(name: string, identity = DeviceIdentity.generate(systemRandom)): Remote {
  return {
    name,
    gatehouseId: identity.id,
    identityKey: identity.publicKey,
    address: "127.0.0.1:7443",
    caCertificates: [Uint8Array.of(1, 2)],
    certificate: Uint8Array.of(3),
    deviceName: "laptop",
    role: "member",
    pairedAt: unixMs(1_700_000_000_000),
    certificateExpiresAt: unixMs(1_700_000_000_001),
  };
}

const identityOfOld = DeviceIdentity.generate(systemRandom);

/** A process that adds so many gatehouses, one after another. */
async function addsFrom(prefix: string, count: number): Promise<TsxChild> {
  const child = new TsxChild(ADDER_PATH);
  await child.event("ready");
  child.send({ home, prefix, count });
  return child;
}

describe("the list of gatehouses", () => {
  it("is empty in a new home, and says how to begin", async () => {
    expect(await remotes.list()).toEqual([]);
    await expect(remotes.resolve()).rejects.toMatchObject({ code: "remote.none", exitCode: 5 });
    await expect(remotes.resolve("home")).rejects.toMatchObject({ code: "remote.not-found" });
  });

  it("gives back what was added, in a file for its owner's eyes", async () => {
    const added = await remotes.add(remote("home"));
    expect(await Remotes.of(home).list()).toEqual([{ ...added, isDefault: true }]);
    expect((await stat(join(home, "remotes.json"))).mode & 0o777).toBe(0o600);
  });

  it("finds one by name, by id, as the only one or as the default", async () => {
    const [first, second] = [await remotes.add(remote("home")), await remotes.add(remote("work"))];
    expect(await remotes.resolve("work")).toEqual(second);
    expect(await remotes.resolve(first.gatehouseId)).toEqual(first);
    await expect(remotes.resolve()).rejects.toMatchObject({ code: "remote.ambiguous" });
    await remotes.setDefault("work");
    expect(await remotes.resolve()).toEqual(second);
    await remotes.remove("work");
    expect(await remotes.resolve()).toEqual(first);
  });

  it("keeps one entry for a gatehouse that is paired with again", async () => {
    const added = await remotes.add(remote("home"));
    await remotes.add({ ...added, address: "[::1]:7443" });
    expect((await remotes.list()).map(({ address }) => address)).toEqual(["[::1]:7443"]);
  });

  it("never lets a gatehouse take the name of another", async () => {
    const first = await remotes.add(remote("home"));
    expect((await remotes.add(remote("home"))).name).toBe("home-2");
    expect(await remotes.resolve("home")).toEqual(first);
  });

  it("moves a gatehouse to another address, and to none that is not one", async () => {
    await remotes.add(remote("home"));
    expect((await remotes.set("home", { address: "gatehouse.example:7444" })).address).toBe(
      "gatehouse.example:7444",
    );
    for (const bad of ["", "host", "host:0", "host:65536", "a b:1", "[nonsense]:1", "host:1x"]) {
      await expect(remotes.set("home", { address: bad })).rejects.toMatchObject({
        code: "usage.bad-argument",
      });
    }
    expect((await remotes.resolve()).address).toBe("gatehouse.example:7444");
  });

  it("calls a gatehouse by another name, which stays the default if it was", async () => {
    await remotes.add(remote("home"));
    const work = await remotes.add(remote("work"));
    await remotes.setDefault("work");
    const renamed = await remotes.set("work", { name: "office", address: "office.example:7443" });
    expect(renamed).toEqual({ ...work, name: "office", address: "office.example:7443" });
    expect(await remotes.resolve()).toEqual(renamed);
    await expect(remotes.resolve("work")).rejects.toMatchObject({ code: "remote.not-found" });
    expect((await remotes.list()).map(({ name, isDefault }) => [name, isDefault])).toEqual([
      ["home", false],
      ["office", true],
    ]);
    expect((await remotes.set("office", { name: "office" })).name).toBe("office");
  });

  it("gives no name to two, and none that cannot be typed or is another's id", async () => {
    const first = await remotes.add(remote("home"));
    await remotes.add(remote("work"));
    await expect(remotes.set("work", { name: "home" })).rejects.toMatchObject({
      code: "remote.name-taken",
      exitCode: 7,
    });
    const bad = [
      "",
      " ",
      " x",
      "x ",
      "a\u0000b",
      "a\nb",
      "\u202eb",
      "x".repeat(65),
      "\u2028",
      first.gatehouseId,
    ];
    for (const name of bad) {
      await expect(remotes.set("work", { name })).rejects.toMatchObject({ code: "usage.bad-argument" });
    }
    for (const name of ["Büro 2", "x".repeat(64)]) {
      expect((await remotes.set("work", { name })).name).toBe(name);
      await remotes.set(name, { name: "work" });
    }
    await expect(remotes.set("elsewhere", { name: "x" })).rejects.toMatchObject({ code: "remote.not-found" });
  });

  it("loses no change of several that are made at once", async () => {
    const others = Array.from({ length: 12 }, () => Remotes.of(home));
    const added = await Promise.all(others.map((own, index) => own.add(remote(`home-${index}`))));
    await Promise.all(
      added.map(({ gatehouseId }, index) =>
        index % 2 === 0
          ? Remotes.of(home).set(gatehouseId, { address: `192.0.2.${index}:7443` })
          : Remotes.of(home).change(gatehouseId, (entry) => ({ ...entry, lastSkewMs: index })),
      ),
    );
    const listed = await remotes.list();
    expect(listed).toHaveLength(12);
    for (const { name, address, lastSkewMs } of listed) {
      const index = Number(name.slice("home-".length));
      expect(index % 2 === 0 ? address : lastSkewMs).toBe(index % 2 === 0 ? `192.0.2.${index}:7443` : index);
    }
  });

  it("loses no change of several processes", async () => {
    const children = await Promise.all([1, 2, 3].map((index) => addsFrom(`process-${index}`, 8)));
    await Promise.all(children.map(async (child) => expect(await child.event("done")).toBeTruthy()));
    await Promise.all(children.map((child) => child[Symbol.asyncDispose]()));
    expect(await remotes.list()).toHaveLength(24);
  });

  it("reads what a version before renewals has written, and keeps what it says", async () => {
    await remotes.add(remote("home"));
    const path = join(home, "remotes.json");
    const key = Buffer.from(identityOfOld.publicKey).toString("base64");
    const old = {
      version: 1,
      default: "attic",
      remotes: [
        {
          ...{ name: "attic", gatehouseId: identityOfOld.id, identityKey: key, address: "192.0.2.9:7443" },
          ...{ caCertificates: ["AQI="], certificate: "Aw==", deviceName: "laptop", role: "member" },
          ...{ pairedAt: 1_700_000_000_000, certificateExpiresAt: 1_700_000_000_001 },
        },
      ],
    };
    await writeFile(path, JSON.stringify(old));
    const read = await remotes.resolve();
    expect(read).toEqual({ ...remote("attic", identityOfOld), address: "192.0.2.9:7443" });
    await remotes.set("attic", { name: "loft" });
    expect(await remotes.resolve("loft")).toEqual({ ...read, name: "loft" });
  });

  it("gives back a renewal that is under way, to the byte", async () => {
    const added = await remotes.add(remote("home"));
    const renewal: NonNullable<Remote["renewal"]> = {
      ...{ requestId: systemRandom.bytes(16), nonce: systemRandom.bytes(32) },
      ...{ certificateRequest: systemRandom.bytes(300), spkiSha256: systemRandom.bytes(32) },
      askedAt: unixMs(1_700_000_000_002),
    };
    await remotes.change(added.gatehouseId, (entry) => ({ ...entry, renewal, lastSkewMs: -7 }));
    expect(await Remotes.of(home).resolve("home")).toEqual({ ...added, renewal, lastSkewMs: -7 });
  });

  it("has an end", async () => {
    const entry = await remotes.add(remote("home"));
    const document = JSON.parse(await readFile(join(home, "remotes.json"), "utf8")) as { remotes: object[] };
    const [template = {}] = document.remotes;
    document.remotes = Array.from({ length: LIMITS.remotes }, (_, index) => {
      const identity = DeviceIdentity.generate(systemRandom);
      const identityKey = Buffer.from(identity.publicKey).toString("base64");
      return { ...template, name: `home-${index}`, gatehouseId: identity.id, identityKey };
    });
    await writeFile(join(home, "remotes.json"), JSON.stringify(document));
    await expect(remotes.add(entry)).rejects.toMatchObject({ code: "remote.ambiguous" });
  });

  it("is refused as damaged, by name, when it is cut anywhere or a pin does not fit", async () => {
    await remotes.add(remote("home"));
    const path = join(home, "remotes.json");
    const good = await readFile(path, "utf8");
    const other = Buffer.from(DeviceIdentity.generate(systemRandom).publicKey).toString("base64");
    const cuts = Array.from({ length: 20 }, (_, index) =>
      good.slice(0, Math.floor((good.trimEnd().length * index) / 20)),
    );
    const bad = [
      ...cuts,
      "null",
      "[]",
      good.replace('"version": 1', '"version": 2'),
      good.replace(/"identityKey": "[^"]+"/, `"identityKey": "${other}"`),
      good.replace(/"gatehouseId": "./, '"gatehouseId": "0'),
    ];
    for (const text of bad) {
      await writeFile(path, text);
      await expect(remotes.list()).rejects.toMatchObject({
        code: "file.damaged",
        message: expect.stringContaining("remotes.json"),
      });
    }
  });
});
