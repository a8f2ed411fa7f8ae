import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fromUtf8, utf8 } from "../../src/core/index.ts";
import { localCheckpointer, parseSecretPath, threadCheckpointer } from "../../src/vault/index.ts";
import { FaultyFiles } from "./faulty-files.ts";
import { event, MemoryAudit, put, read, remove, VaultPlace } from "./support.ts";

describe("changes that arrive together", () => {
  it("share one write and one sync, and are all there afterwards", async () => {
    await using place = await VaultPlace.make();
    const files = new FaultyFiles();
    {
      await using vault = await place.open({ files });
      await Promise.all(Array.from({ length: 64 }, (_, index) => put(vault, `many/${index}`, `${index}`)));
      expect(files.countOf("append")).toBe(1);
      expect(files.countOf("sync")).toBe(1);
      expect(vault.sequence).toBe(64);
    }
    await using vault = await place.open();
    for (let index = 0; index < 64; index += 1) expect(await read(vault, `many/${index}`)).toBe(`${index}`);
  });

  it("of one path keep their order and leave no gap in its versions", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const versions = await Promise.all(
      Array.from({ length: 10 }, (_, index) => put(vault, "one", `${index}`)),
    );
    expect(versions).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(await read(vault, "one")).toBe("9");
  });

  it("are not visible before they are on disk", async () => {
    await using place = await VaultPlace.make();
    const files = new FaultyFiles();
    await using vault = await place.open({ files });
    let isAnswered = false;
    const writing = put(vault, "a", "1").then(() => {
      isAnswered = true;
    });
    let syncsWhenSeen: number | undefined;
    while (!isAnswered) {
      await new Promise((resolve) => setImmediate(resolve));
      const { secrets } = await vault.secrets.list({ limit: 1 });
      if (secrets.length > 0) syncsWhenSeen ??= files.countOf("sync");
    }
    await writing;
    expect(syncsWhenSeen ?? files.countOf("sync")).toBe(1);
  });

  it("are all answered before a vault closes, and refused after", async () => {
    await using place = await VaultPlace.make();
    const vault = await place.open();
    const writing = Promise.all(Array.from({ length: 8 }, (_, index) => put(vault, `many/${index}`, "x")));
    await vault[Symbol.asyncDispose]();
    expect(await writing).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
    await expect(put(vault, "late", "x")).rejects.toMatchObject({ code: "rpc.draining" });
  });
});

describe("a change that cannot be written down", () => {
  it("fails alone, and the vault goes on", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const huge = { path: parseSecretPath("a"), value: utf8("x"), createdBy: "t" };
    const [bad, good] = await Promise.allSettled([
      vault.secrets.put(huge, { audit: new Uint8Array(2_000_000) }),
      put(vault, "b", "1"),
    ]);
    expect(bad).toMatchObject({ status: "rejected", reason: expect.any(RangeError) });
    expect(good).toMatchObject({ status: "fulfilled", value: 1 });
    expect(await put(vault, "a", "1")).toBe(1);
  });
});

describe("a disk that fails", () => {
  it.each([
    ["ENOSPC", "no space is left on the disk"],
    ["EIO", "the disk failed to take a write"],
  ])("with %s makes the vault read-only: nothing stored, everything readable", async (code, reason) => {
    await using place = await VaultPlace.make();
    const files = new FaultyFiles();
    files.writesHalf = true;
    {
      await using vault = await place.open({ files });
      await put(vault, "a", "1");
      files.faults.set("append", code);
      await expect(put(vault, "a", "2")).rejects.toMatchObject({ code: "vault.read-only" });
      expect(vault.state).toEqual({ kind: "read-only", reason });
      await expect(remove(vault, "a")).rejects.toMatchObject({ code: "vault.read-only" });
      expect(files.countOf("append")).toBe(2);
      expect(await read(vault, "a")).toBe("1");
    }
    await using vault = await place.open();
    expect(vault.report.cutBytes).toBe(0);
    expect(await vault.secrets.list({ limit: 10 })).toMatchObject({ secrets: [{ path: "a", version: 1 }] });
  });

  it("is tried again after a while, by one change at a time, and taken back into use", async () => {
    await using place = await VaultPlace.make();
    const files = new FaultyFiles();
    await using vault = await place.open({ files });
    files.faults.set("append", "ENOSPC");
    await expect(put(vault, "a", "1")).rejects.toMatchObject({ code: "vault.read-only" });
    place.clock.advance(5_000);
    await expect(put(vault, "a", "1")).rejects.toMatchObject({ code: "vault.read-only" });
    files.faults.clear();
    await expect(put(vault, "a", "1")).rejects.toMatchObject({ code: "vault.read-only" });
    place.clock.advance(5_000);
    expect(await put(vault, "a", "1")).toBe(1);
    expect(vault.state).toEqual({ kind: "serving" });
  });

  it("to sync leaves the outcome unknown, and is never believed again", async () => {
    await using place = await VaultPlace.make();
    const files = new FaultyFiles();
    {
      await using vault = await place.open({ files });
      await put(vault, "a", "1");
      files.faults.set("sync", "EIO");
      await expect(put(vault, "a", "2")).rejects.toMatchObject({ code: "rpc.outcome-unknown", exitCode: 12 });
      files.faults.clear();
      place.clock.advance(3_600_000);
      await expect(put(vault, "a", "2")).rejects.toMatchObject({ code: "vault.read-only" });
      expect(await read(vault, "a")).toBe("1");
    }
    await using vault = await place.open();
    expect(["1", "2"]).toContain(await read(vault, "a"));
    expect(vault.state).toEqual({ kind: "serving" });
  });

  it("to write and to take back leaves the outcome unknown, and the next open cuts the torn part", async () => {
    await using place = await VaultPlace.make();
    const files = new FaultyFiles();
    files.writesHalf = true;
    {
      await using vault = await place.open({ files });
      await put(vault, "a", "1");
      files.faults.set("append", "EIO").set("truncate", "EIO");
      await expect(put(vault, "a", "2")).rejects.toMatchObject({ code: "rpc.outcome-unknown" });
    }
    await using vault = await place.open();
    expect(vault.report.cutBytes).toBeGreaterThan(0);
    expect(await read(vault, "a")).toBe("1");
    expect(await put(vault, "a", "2")).toBe(2);
  });
});

describe("the audit log", () => {
  it("hears of every change in order, before its caller does", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await Promise.all([put(vault, "a", "1"), put(vault, "b", "2")]);
    await remove(vault, "a");
    expect(place.audit.entries.map(({ sequence, events }) => [sequence, events.map(fromUtf8)])).toEqual([
      [1, ["put a"]],
      [2, ["put b"]],
      [3, ["remove a"]],
    ]);
    const version = await vault.secrets.put(
      { path: parseSecretPath("c"), value: new Uint8Array(), createdBy: "t" },
      { audit: (result) => new Uint8Array([result.version]) },
    );
    expect(place.audit.entries.at(-1)?.events).toEqual([new Uint8Array([version.version])]);
  });

  it("hears again, at the next open, what a crash kept from it", async () => {
    await using place = await VaultPlace.make();
    {
      await using vault = await place.open();
      for (const name of ["a", "b", "c"]) await put(vault, name, name);
    }
    const whole = place.audit.entries;
    place.audit = new MemoryAudit();
    place.audit.entries.push(...whole.slice(0, 1));
    await using vault = await place.open();
    expect(place.audit.entries).toEqual(whole);
    expect(vault.report.handedOver).toBe(2);
  });

  it("that fails makes the vault read-only; what had been stored is told at the next open", async () => {
    await using place = await VaultPlace.make();
    const broken = {
      lastJournalSequence: 0,
      committed: () => Promise.reject(new Error("full")),
      sync: async () => {},
    };
    {
      await using vault = await place.open({ audit: broken });
      await expect(put(vault, "a", "1")).rejects.toMatchObject({ code: "rpc.outcome-unknown" });
      await expect(put(vault, "b", "1")).rejects.toMatchObject({
        code: "vault.read-only",
        message: "the vault takes no changes: the audit log cannot be written",
      });
    }
    await using vault = await place.open();
    expect(place.audit.entries.map(({ sequence }) => sequence)).toEqual([1]);
    expect(await read(vault, "a")).toBe("1");
  });

  it("that was emptied behind the vault's back is found out", async () => {
    await using place = await VaultPlace.make();
    {
      await using vault = await place.open({ limits: { journalTransactions: 0 } });
      await put(vault, "a", "1");
    }
    await expect(place.open({ audit: new MemoryAudit() })).rejects.toMatchObject({
      code: "audit.damaged",
      exitCode: 9,
    });
  });

  it("is opened with a key of the vault when asked for", async () => {
    await using place = await VaultPlace.make();
    let bits: number | undefined;
    await using vault = await place.open({
      audit: async (deriveKey) => {
        bits = deriveKey("gatehouse/v1/audit/record").symmetricKeySize;
        return place.audit;
      },
    });
    expect(bits).toBe(32);
    await put(vault, "a", "1");
    expect(place.audit.lastJournalSequence).toBe(1);
  });
});

describe("a checkpoint", () => {
  it("replaces snapshot and journal, after the audit log is on disk, and loses nothing", async () => {
    await using place = await VaultPlace.make();
    {
      await using vault = await place.open({ limits: { journalTransactions: 10 } });
      for (let index = 0; index < 60; index += 1) await put(vault, `s/${index % 20}`, `${index}`);
    }
    const names = await readdir(place.dir);
    expect(names.filter((name) => name.startsWith("snapshot")).length).toBe(1);
    expect(names).not.toContain("journal-0000000001");
    expect(place.audit.syncs).toBeGreaterThan(0);
    await using vault = await place.open();
    expect(vault.report.snapshot).toBeGreaterThan(1);
    expect(vault.report.replayed).toBeLessThan(60);
    for (let index = 40; index < 60; index += 1)
      expect(await read(vault, `s/${index % 20}`)).toBe(`${index}`);
    expect(await put(vault, "s/0", "next")).toBe(4);
  });

  it("can be made in a thread of its own", async () => {
    await using place = await VaultPlace.make();
    const checkpointer = threadCheckpointer(new URL("checkpoint-worker-from-source.mjs", import.meta.url));
    {
      await using vault = await place.open({ checkpointer, limits: { journalTransactions: 4 } });
      for (let index = 0; index < 6; index += 1) await put(vault, `s/${index}`, `${index}`);
    }
    expect(await readdir(place.dir)).toContain("snapshot-0000000002");
    await using vault = await place.open();
    expect(vault.report.snapshot).toBe(2);
    expect(await read(vault, "s/0")).toBe("0");
    expect(await read(vault, "s/5")).toBe("5");
  });

  it("that fails leaves the journal whole and the vault serving, and is made up for later", async () => {
    await using place = await VaultPlace.make();
    const files = new FaultyFiles();
    let isBroken = true;
    const good = localCheckpointer();
    const checkpointer: typeof good = async (task) => {
      const position = await good(task);
      return isBroken ? { ...position, sequence: 0 } : position;
    };
    {
      await using vault = await place.open({ files, checkpointer, limits: { journalTransactions: 2 } });
      for (let index = 0; index < 4; index += 1) await put(vault, "a", `${index}`);
      expect(vault.state).toEqual({ kind: "serving" });
    }
    expect((await readdir(place.dir)).filter((name) => name.startsWith("snapshot"))).toEqual([]);
    isBroken = false;
    {
      await using vault = await place.open({ files, checkpointer, limits: { journalTransactions: 2 } });
      expect(await read(vault, "a")).toBe("3");
      await put(vault, "a", "4");
    }
    expect((await readdir(place.dir)).filter((name) => name.startsWith("snapshot"))).toHaveLength(1);
    await using vault = await place.open();
    expect(await read(vault, "a")).toBe("4");
  });

  it("that cannot begin a new segment leaves the old one growing", async () => {
    await using place = await VaultPlace.make();
    const files = new FaultyFiles();
    {
      await using vault = await place.open({ files, limits: { journalTransactions: 1 } });
      files.faults.set("create", "ENOSPC");
      for (let index = 0; index < 3; index += 1) await put(vault, "a", `${index}`);
      expect(vault.state).toEqual({ kind: "serving" });
    }
    await using vault = await place.open();
    expect(await read(vault, "a")).toBe("2");
  });

  it("that cannot take back a segment it could not begin stops all changes", async () => {
    await using place = await VaultPlace.make();
    const files = new FaultyFiles();
    {
      await using vault = await place.open({ files, limits: { journalTransactions: 0 } });
      files.faults.set("create", "EIO").set("remove", "EIO");
      await put(vault, "a", "1");
      await expect(put(vault, "a", "2")).rejects.toMatchObject({ code: "vault.read-only" });
    }
    await using vault = await place.open();
    expect(await read(vault, "a")).toBe("1");
  });

  it("that was cut short before its cleaning up is finished by the next open", async () => {
    await using place = await VaultPlace.make();
    const files = new FaultyFiles();
    files.faults.set("remove", "EIO");
    {
      await using vault = await place.open({ files, limits: { journalTransactions: 1 } });
      for (let index = 0; index < 6; index += 1) await put(vault, "a", `${index}`);
    }
    const left = (await readdir(place.dir)).sort();
    expect(left).toContain("journal-0000000001");
    expect(left.filter((name) => name.startsWith("snapshot")).length).toBeGreaterThanOrEqual(1);
    {
      await using vault = await place.open();
      expect(await read(vault, "a")).toBe("5");
    }
    const after = (await readdir(place.dir)).sort();
    expect(after).not.toContain("journal-0000000001");
    expect(after.filter((name) => name.startsWith("snapshot"))).toHaveLength(1);
  });
});

describe("the vault's files", () => {
  it("are for their owner alone", async () => {
    await using place = await VaultPlace.make();
    {
      await using vault = await place.open({ limits: { journalTransactions: 0 } });
      await vault.settings.set("pairing/burnt", new Uint8Array([1]), event());
    }
    expect((await stat(place.dir)).mode & 0o777).toBe(0o700);
    const names = await readdir(place.dir);
    expect(names.length).toBe(3);
    for (const name of names) expect((await stat(join(place.dir, name))).mode & 0o777).toBe(0o600);
  });
});
