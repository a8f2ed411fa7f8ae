import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { bytes, idOf, World } from "./support.ts";

const { Put, Get, List, History, Remove, Undelete, Destroy } = METHODS.Vault;
const OWN = `devices/${idOf("phone")}`;
const DENIED = expect.objectContaining({ code: "authz.denied" });
const GONE = expect.objectContaining({ code: "vault.not-found" });

let world: World;

beforeEach(async () => {
  world = await World.open();
});

afterEach(async () => {
  await world[Symbol.asyncDispose]();
});

const put = (
  name: string,
  path: string,
  more: { ttlMs?: number; labels?: { values: Record<string, string> } } = {},
) => world.call(name, Put, { path, value: bytes("value"), ...more });

describe("a secret that was removed", () => {
  it("is brought back by whoever may remove it, and listed only where that is asked for", async () => {
    await put("phone", `${OWN}/a`);
    await world.call("phone", Remove, { path: `${OWN}/a` });
    expect((await world.call("phone", List, {})).secrets).toEqual([]);
    expect((await world.call("phone", List, { includeRemoved: true })).secrets).toMatchObject([
      { path: `${OWN}/a`, version: 1, isRemoved: true },
    ]);
    expect(await world.call("phone", Undelete, { path: `${OWN}/a` })).toMatchObject({
      ...{ path: `${OWN}/a`, version: 1 },
    });
    expect((await world.call("phone", List, {})).secrets).toMatchObject([{ isRemoved: false }]);
    const again = world.call("phone", Undelete, { path: `${OWN}/a` });
    await expect(again).rejects.toMatchObject({ code: "vault.not-removed" });
  });

  it("is not brought back by who may only read it", async () => {
    await put("owner", "shared/a");
    await world.call("owner", Remove, { path: "shared/a" });
    await expect(world.call("phone", Undelete, { path: "shared/a" })).rejects.toEqual(DENIED);
  });
});

describe("a secret's destruction", () => {
  it("is the owner's alone, also where a member may write", async () => {
    await put("phone", `${OWN}/a`);
    await expect(world.call("phone", Destroy, { path: `${OWN}/a` })).rejects.toEqual(DENIED);
    expect(await world.call("owner", Destroy, { path: `${OWN}/a` })).toMatchObject({ versions: [1] });
    await expect(world.call("phone", Get, { path: `${OWN}/a` })).rejects.toEqual(GONE);
    const lines = await world.auditLines();
    expect(lines.filter((line) => line.includes("secret:destroy"))).toEqual([
      `phone secret:destroy secret:${OWN}/a denied authz.denied`,
      expect.stringMatching(/^owner secret:destroy .* done$/),
    ]);
  });

  it("takes one version, or all, and leaves the fact in the history", async () => {
    for (let count = 0; count < 3; count += 1) await put("owner", "shared/a");
    const destroy = (version: number, ifVersion?: number) =>
      world.call("owner", Destroy, {
        ...{ path: "shared/a", version },
        ...(ifVersion === undefined ? {} : { ifVersion }),
      });
    await expect(destroy(2, 2)).rejects.toMatchObject({ code: "vault.version-conflict" });
    await expect(destroy(9)).rejects.toMatchObject({ code: "vault.version-not-found" });
    expect(await destroy(2, 3)).toMatchObject({ versions: [2] });
    const { versions } = await world.call("owner", History, { path: "shared/a" });
    expect(versions.map(({ isDestroyed }) => isDestroyed)).toEqual([false, true, false]);
    expect(await destroy(0)).toMatchObject({ versions: [1, 2, 3] });
    expect(await put("owner", "shared/a")).toMatchObject({ version: 4 });
  });

  it("repeated under its request id gets the same answer", async () => {
    await put("owner", "shared/a");
    const requestId = new Uint8Array(16).fill(7);
    const destroy = () => world.call("owner", Destroy, { path: "shared/a" }, { requestId });
    expect(await destroy()).toEqual(await destroy());
  });
});

describe("a secret with an end and labels", () => {
  it("says when it ends and what it is labelled, and ends then", async () => {
    const labels = { team: "core" };
    const expiresAt = world.parts.clock.now() + 5_000;
    await put("owner", "shared/a", { ttlMs: 5_000, labels: { values: labels } });
    expect(await world.call("phone", Get, { path: "shared/a" })).toMatchObject({ expiresAt, labels });
    const { secrets } = await world.call("phone", List, { prefix: "shared" });
    expect(secrets).toMatchObject([{ expiresAt, labels }]);
    const { versions } = await world.call("phone", History, { path: "shared/a" });
    expect(versions).toMatchObject([{ expiresAt, isDestroyed: false }]);
    world.parts.clock.advance(5_000);
    await expect(world.call("phone", Get, { path: "shared/a" })).rejects.toEqual(GONE);
    expect((await world.call("phone", List, { prefix: "shared" })).secrets).toEqual([]);
  });

  it("keeps its labels when none are given, and loses them when an empty set is", async () => {
    const labels = async () => (await world.call("owner", Get, { path: "shared/a" })).labels;
    await put("owner", "shared/a", { labels: { values: { team: "core" } } });
    await put("owner", "shared/a");
    expect(await labels()).toEqual({ team: "core" });
    await put("owner", "shared/a", { labels: { values: {} } });
    expect(await labels()).toEqual({});
  });

  it("is chosen by its labels", async () => {
    await put("owner", "shared/a", { labels: { values: { team: "core" } } });
    await put("owner", "shared/b", { labels: { values: { team: "web" } } });
    const { secrets } = await world.call("phone", List, { labels: { team: "web" } });
    expect(secrets).toMatchObject([{ path: "shared/b" }]);
  });

  it("is refused with an end or labels outside their bounds", async () => {
    const badArgument = expect.objectContaining({ code: "usage.bad-argument" });
    await expect(put("owner", "shared/a", { ttlMs: 999 })).rejects.toEqual(badArgument);
    await expect(put("owner", "shared/a", { labels: { values: { "A B": "" } } })).rejects.toEqual(
      badArgument,
    );
  });

  it("is listed in pages that fit a message, however large its labels are", async () => {
    const values = Object.fromEntries(
      Array.from({ length: LIMITS.secretLabels }, (_, index) => [
        `${index}`.padEnd(64, "-"),
        "x".repeat(128),
      ]),
    );
    const count = 200;
    for (let index = 0; index < count; index += 1) {
      await put("owner", `shared/${index}`, { labels: { values } });
    }
    const found = new Set<string>();
    let pages = 0;
    for (let pageToken = ""; pages === 0 || pageToken !== ""; pages += 1) {
      const page = await world.call("owner", List, { pageToken, pageSize: 1_000 });
      for (const { path } of page.secrets) found.add(path ?? "");
      pageToken = page.nextPageToken;
    }
    expect(found.size).toBe(count);
    expect(pages).toBeGreaterThan(1);
  });
});
