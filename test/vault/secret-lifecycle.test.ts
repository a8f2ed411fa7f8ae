import { describe, expect, it } from "vitest";
import { LIMITS, utf8 } from "../../src/core/index.ts";
import { gatehouse } from "../../src/gen/index.ts";
import {
  type Change,
  type Labels,
  parseSecretPath,
  type SecretEntry,
  type Vault,
} from "../../src/vault/index.ts";
import { event, put, read, remove, VaultPlace } from "./support.ts";

const DAY_MS = 86_400_000;
const GONE = expect.objectContaining({ code: "vault.not-found" });
const NO_VERSION = expect.objectContaining({ code: "vault.version-not-found" });
const BAD_ARGUMENT = expect.objectContaining({ code: "usage.bad-argument" });

async function undelete(vault: Vault, path: string): Promise<number> {
  return (await vault.secrets.undelete({ path: parseSecretPath(path) }, event(`undelete ${path}`))).version;
}

async function destroy(vault: Vault, path: string, version?: number): Promise<readonly number[]> {
  const input = { path: parseSecretPath(path) };
  const named = version === undefined ? input : { ...input, version };
  return (await vault.secrets.destroy(named, event(`destroy ${path}`))).versions;
}

async function putWith(
  vault: Vault,
  path: string,
  more: { readonly ttlMs?: number; readonly labels?: Labels },
): Promise<number> {
  const input = { path: parseSecretPath(path), value: utf8("value"), createdBy: "tester", ...more };
  return (await vault.secrets.put(input, event())).version;
}

async function history(vault: Vault, path: string): Promise<readonly string[]> {
  return (await vault.secrets.history(parseSecretPath(path))).map(
    ({ version, isRemoved, isDestroyed }) =>
      `${version}${isRemoved ? " removed" : ""}${isDestroyed ? " destroyed" : ""}`,
  );
}

async function listed(
  vault: Vault,
  more: Partial<Parameters<Vault["secrets"]["list"]>[0]> = {},
): Promise<readonly SecretEntry[]> {
  return (await vault.secrets.list({ limit: 100, ...more })).secrets;
}

async function paths(vault: Vault): Promise<readonly string[]> {
  return (await listed(vault)).map(({ path }) => path);
}

describe("a removed secret", () => {
  it("can be read again in all its versions when that is taken back", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await put(vault, "a", "1");
    await put(vault, "a", "2");
    await remove(vault, "a");
    expect(await undelete(vault, "a")).toBe(2);
    expect(await read(vault, "a")).toBe("2");
    expect(await read(vault, "a", 1)).toBe("1");
    expect(await paths(vault)).toEqual(["a"]);
  });

  it("brings back what the newest removal hid, and nothing that an earlier one did", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await put(vault, "a", "1");
    await remove(vault, "a");
    await put(vault, "a", "2");
    await remove(vault, "a");
    expect(await undelete(vault, "a")).toBe(2);
    await expect(read(vault, "a", 1)).rejects.toEqual(NO_VERSION);
  });

  it("is not brought back twice, and one that was never there not once", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await put(vault, "a", "1");
    await expect(undelete(vault, "a")).rejects.toMatchObject({ code: "vault.not-removed" });
    await expect(undelete(vault, "b")).rejects.toEqual(GONE);
  });

  it("is listed where that is asked for, until it cannot be brought back", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await put(vault, "a", "1");
    await put(vault, "a", "longer");
    await put(vault, "b", "1");
    await remove(vault, "a");
    const all = { show: "live-and-removed" } as const;
    expect(await paths(vault)).toEqual(["b"]);
    expect(await listed(vault, all)).toMatchObject([
      { path: "a", version: 2, sizeBytes: 6, isRemoved: true },
      { path: "b", version: 1, isRemoved: false },
    ]);
    await destroy(vault, "a", 2);
    expect((await listed(vault, all))[0]).toMatchObject({ path: "a", version: 1, sizeBytes: 1 });
    await destroy(vault, "a");
    expect((await listed(vault, all)).map(({ path }) => path)).toEqual(["b"]);
    await expect(undelete(vault, "a")).rejects.toEqual(GONE);
  });

  it("with its newest version destroyed comes back with the older ones, by number", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await put(vault, "a", "1");
    await put(vault, "a", "2");
    await remove(vault, "a");
    await destroy(vault, "a", 2);
    expect(await undelete(vault, "a")).toBe(1);
    expect(await read(vault, "a", 1)).toBe("1");
    await expect(read(vault, "a")).rejects.toEqual(GONE);
    expect(await remove(vault, "a")).toBe(1);
  });
});

describe("a destroyed version", () => {
  it("is gone for reading, stays in the history, and its number is not used again", async () => {
    await using place = await VaultPlace.make();
    {
      await using vault = await place.open();
      await put(vault, "a", "1");
      await put(vault, "a", "2");
      expect(await read(vault, "a", 1)).toBe("1");
      expect(await destroy(vault, "a", 1)).toEqual([1]);
      await expect(read(vault, "a", 1)).rejects.toEqual(NO_VERSION);
      expect(await read(vault, "a")).toBe("2");
      expect(await destroy(vault, "a")).toEqual([1, 2]);
      expect(await paths(vault)).toEqual([]);
    }
    await using vault = await place.open();
    await expect(read(vault, "a")).rejects.toEqual(GONE);
    expect(await history(vault, "a")).toEqual(["2 destroyed", "1 destroyed"]);
    expect(await put(vault, "a", "3", 0)).toBe(3);
    expect(await read(vault, "a")).toBe("3");
  });

  it("that was the newest leaves the path without a live one: no older one takes its place", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await put(vault, "a", "1");
    await put(vault, "a", "2");
    expect(await read(vault, "a")).toBe("2");
    await destroy(vault, "a", 2);
    await expect(read(vault, "a")).rejects.toEqual(GONE);
    expect(await paths(vault)).toEqual([]);
    expect(await read(vault, "a", 1)).toBe("1");
    await expect(put(vault, "a", "x", 2)).rejects.toMatchObject({ code: "vault.version-conflict" });
  });

  it("goes at the version its caller named, and only while the path's newest is the one it saw", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const path = parseSecretPath("a");
    await put(vault, "a", "1");
    await put(vault, "a", "2");
    const stale = vault.secrets.destroy({ path, version: 1, ifVersion: 1 }, event());
    await expect(stale).rejects.toMatchObject({ code: "vault.version-conflict" });
    await expect(destroy(vault, "a", 3)).rejects.toEqual(NO_VERSION);
    await expect(destroy(vault, "b")).rejects.toEqual(GONE);
    expect(await read(vault, "a", 1)).toBe("1");
    await remove(vault, "a");
    expect(await vault.secrets.destroy({ path, ifVersion: 2 }, event())).toEqual({ versions: [1, 2] });
  });

  it("is remembered no longer than a version would have been", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open({ limits: { secretVersionsKept: 2 } });
    await put(vault, "a", "1");
    await destroy(vault, "a", 1);
    await put(vault, "a", "2");
    await put(vault, "a", "3");
    expect(await history(vault, "a")).toEqual(["3", "2"]);
  });

  it("makes room in a vault that is full", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open({ limits: { vaultBytes: 45_000 } });
    const value = "x".repeat(20_000);
    await put(vault, "a", value);
    await put(vault, "b", value);
    await expect(put(vault, "c", value)).rejects.toMatchObject({ code: "vault.full" });
    await remove(vault, "a");
    await expect(put(vault, "c", value)).rejects.toMatchObject({ code: "vault.full" });
    await destroy(vault, "a");
    expect(await put(vault, "c", value)).toBe(1);
    await expect(put(vault, "d", value)).rejects.toMatchObject({ code: "vault.full" });
  });
});

describe("a secret with an end", () => {
  it("can be read until then and not from then on, in any way", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await putWith(vault, "a", {});
    await putWith(vault, "a", { ttlMs: 5_000 });
    const expiresAt = place.clock.now() + 5_000;
    place.clock.advance(4_999);
    expect(await vault.secrets.get(parseSecretPath("a"))).toMatchObject({ version: 2, expiresAt });
    expect(await listed(vault)).toMatchObject([{ path: "a", version: 2, expiresAt }]);
    expect(await vault.secrets.history(parseSecretPath("a"))).toMatchObject([
      { expiresAt },
      { expiresAt: 0 },
    ]);
    place.clock.advance(1);
    await expect(read(vault, "a")).rejects.toEqual(GONE);
    await expect(read(vault, "a", 2)).rejects.toEqual(NO_VERSION);
    expect(await read(vault, "a", 1)).toBe("value");
    expect(await paths(vault)).toEqual([]);
    expect(await put(vault, "a", "anew", 0)).toBe(3);
  });

  it("lives from a second to ten years, in whole milliseconds", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    for (const ttlMs of [0, 999, LIMITS.secretTtlMaxMs + 1, 1_000.5, -1, Number.NaN]) {
      await expect(putWith(vault, "a", { ttlMs })).rejects.toEqual(BAD_ARGUMENT);
    }
    expect(await putWith(vault, "a", { ttlMs: 1_000 })).toBe(1);
    expect(await putWith(vault, "a", { ttlMs: 3_650 * DAY_MS })).toBe(2);
  });

  it("is destroyed by the sweep, the earliest first, as many at a time as it is told", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await putWith(vault, "late", { ttlMs: 9_000 });
    await putWith(vault, "b", { ttlMs: 2_000 });
    await putWith(vault, "a", { ttlMs: 1_000 });
    await putWith(vault, "a", { ttlMs: 2_000 });
    place.clock.advance(3_000);
    const swept: unknown[] = [];
    const sweep = async () =>
      await vault.secrets.sweepExpired(2, {
        audit: (result) => {
          swept.push(...result.swept);
          return utf8("sweep");
        },
      });
    expect(await sweep()).toMatchObject({ isMore: true });
    expect(swept).toEqual([
      { path: "a", version: 1 },
      { path: "a", version: 2 },
    ]);
    expect(await sweep()).toMatchObject({ swept: [{ path: "b", version: 1 }], isMore: false });
    const sequence = vault.sequence;
    expect(await sweep()).toEqual({ swept: [], isMore: false });
    expect(vault.sequence).toBe(sequence);
    expect(await history(vault, "a")).toEqual(["2 destroyed", "1 destroyed"]);
    expect(await read(vault, "late")).toBe("value");
    expect(vault.store.sizeOf("expiry")).toBeGreaterThan(0);
    await destroy(vault, "late");
    expect(vault.store.sizeOf("expiry")).toBe(0);
  });

  it("does not come back when the clock is set back after the sweep, nor after reopening", async () => {
    await using place = await VaultPlace.make();
    {
      await using vault = await place.open();
      await putWith(vault, "a", { ttlMs: 5_000 });
      place.clock.stepWall(5_000);
      await expect(read(vault, "a")).rejects.toEqual(GONE);
      await vault.secrets.sweepExpired(10, event());
      place.clock.stepWall(-DAY_MS);
      await expect(read(vault, "a")).rejects.toEqual(GONE);
    }
    await using vault = await place.open();
    await expect(read(vault, "a")).rejects.toEqual(GONE);
    expect(await put(vault, "a", "anew", 0)).toBe(2);
  });

  it("is not swept before its time: a sweep that comes as the clock is set back takes nothing", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await putWith(vault, "a", { ttlMs: 5_000 });
    place.clock.stepWall(5_000);
    const putting = put(vault, "a", "anew");
    const sweeping = vault.secrets.sweepExpired(10, event());
    place.clock.stepWall(-1);
    await putting;
    expect((await sweeping).swept).toEqual([]);
    expect(await read(vault, "a", 1)).toBe("value");
  });

  it("leaves nothing to sweep when newer versions have pushed it out", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open({ limits: { secretVersionsKept: 1 } });
    await putWith(vault, "a", { ttlMs: 1_000 });
    await putWith(vault, "a", {});
    expect(vault.store.sizeOf("expiry")).toBe(0);
    place.clock.advance(2_000);
    expect(await vault.secrets.sweepExpired(10, event())).toEqual({ swept: [], isMore: false });
    expect(await read(vault, "a")).toBe("value");
  });

  it("is not swept without a bound", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    for (const limit of [0, 257, 1.5]) {
      await expect(vault.secrets.sweepExpired(limit, event())).rejects.toThrow(RangeError);
    }
  });
});

describe("labels", () => {
  it("stay until others are given, and go when the path is destroyed", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const labels = async () => (await vault.secrets.get(parseSecretPath("a"))).labels;
    await putWith(vault, "a", { labels: { team: "core", "env/stage": "" } });
    await put(vault, "a", "2");
    expect(await labels()).toEqual({ team: "core", "env/stage": "" });
    await putWith(vault, "a", { labels: { team: "web" } });
    expect(await labels()).toEqual({ team: "web" });
    await putWith(vault, "a", { labels: {} });
    expect(await labels()).toEqual({});
    await putWith(vault, "a", { labels: { team: "web" } });
    await destroy(vault, "a");
    await put(vault, "a", "5");
    expect(await labels()).toEqual({});
  });

  it("choose what is listed: key and value, every one of them", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await putWith(vault, "a", { labels: { team: "core", env: "prod" } });
    await putWith(vault, "b", { labels: { team: "core" } });
    await putWith(vault, "c", {});
    const found = async (labels: Labels) => (await listed(vault, { labels })).map(({ path }) => path);
    expect(await found({ team: "core" })).toEqual(["a", "b"]);
    expect(await found({ team: "core", env: "prod" })).toEqual(["a"]);
    expect(await found({ team: "cor" })).toEqual([]);
    expect(await found({ constructor: "" })).toEqual([]);
    expect(await found({})).toEqual(["a", "b", "c"]);
    await expect(found({ "": "x" })).rejects.toEqual(BAD_ARGUMENT);
  });

  it.each([
    [{ "": "x" }],
    [{ Team: "x" }],
    [{ ["k".repeat(65)]: "x" }],
    [{ team: "x".repeat(129) }],
    [{ team: "ä" }],
    [{ team: "a\nb" }],
    [Object.fromEntries(Array.from({ length: 33 }, (_, index) => [`k${index}`, ""]))],
  ])("are not %j", async (labels) => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await expect(putWith(vault, "a", { labels })).rejects.toEqual(BAD_ARGUMENT);
    expect(await paths(vault)).toEqual([]);
  });

  it("may be as many and as long as the bounds say, and survive reopening", async () => {
    await using place = await VaultPlace.make();
    const labels = Object.fromEntries(
      Array.from({ length: 32 }, (_, index) => [`${index}`.padEnd(64, "/"), "~".repeat(128)]),
    );
    {
      await using vault = await place.open();
      await putWith(vault, "a", { labels: { ...labels } });
    }
    await using vault = await place.open();
    expect((await vault.secrets.get(parseSecretPath("a"))).labels).toEqual(labels);
    expect(await listed(vault)).toMatchObject([{ labels }]);
  });
});

describe("records from before there were ends, labels and undeletes", () => {
  it("read as they did, and take part in all of it", async () => {
    await using place = await VaultPlace.make();
    const { StoredSecret, StoredVersion } = gatehouse.v1;
    {
      await using vault = await place.open();
      await put(vault, "a", "1");
      await put(vault, "a", "2");
      const records = vault.store.list("version", { after: "", before: "\x7f", limit: 10 });
      const head = StoredSecret.decode(vault.store.get("secret", "a")?.body ?? new Uint8Array());
      const { latestVersion, removedThrough, oldestVersion, createdAt, sizeBytes, latestHash } = head;
      const old = { latestVersion, removedThrough, oldestVersion, createdAt, sizeBytes, latestHash };
      await vault.store.transact([], () => ({
        changes: [
          { kind: "put", space: "secret", key: "a", body: StoredSecret.encode(old).finish() },
          ...records.map(({ key, body }): Change => {
            const stored = StoredVersion.decode(body);
            const { version, createdAt, createdBy, contentType, sizeBytes } = stored;
            const { previousHash, wrappedKey, sealedValue } = stored;
            const facts = { version, createdAt, createdBy, contentType, sizeBytes };
            const bytes = StoredVersion.encode({ ...facts, previousHash, wrappedKey, sealedValue }).finish();
            return { kind: "put", space: "version", key, body: bytes };
          }),
        ],
        events: [],
        result: undefined,
      }));
    }
    await using vault = await place.open();
    expect(await vault.secrets.get(parseSecretPath("a"))).toMatchObject({ expiresAt: 0, labels: {} });
    expect(await read(vault, "a", 1)).toBe("1");
    expect(await history(vault, "a")).toEqual(["2", "1"]);
    await remove(vault, "a");
    expect(await undelete(vault, "a")).toBe(2);
    expect(await destroy(vault, "a", 2)).toEqual([2]);
    expect(await read(vault, "a", 1)).toBe("1");
  });
});
