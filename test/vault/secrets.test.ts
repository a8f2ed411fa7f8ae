import { describe, expect, it } from "vitest";
import { LIMITS, utf8 } from "../../src/core/index.ts";
import { parseFolderPath, parseSecretPath } from "../../src/vault/index.ts";
import { event, put, read, remove, VaultPlace } from "./support.ts";

describe("secrets", () => {
  it("survive reopening, byte for byte, with their versions", async () => {
    await using place = await VaultPlace.make();
    {
      await using vault = await place.open();
      expect(await put(vault, "shared/db", "one")).toBe(1);
      place.clock.advance(1_000);
      expect(await put(vault, "shared/db", "two")).toBe(2);
    }
    await using vault = await place.open();
    const newest = await vault.secrets.get(parseSecretPath("shared/db"));
    expect(newest).toEqual({
      version: 2,
      value: utf8("two"),
      createdAt: 1_700_000_001_000,
      contentType: "application/octet-stream",
      expiresAt: 0,
      labels: {},
    });
    expect(await read(vault, "shared/db", 1)).toBe("one");
    expect(vault.report).toMatchObject({ replayed: 2, cutBytes: 0, handedOver: 0, snapshot: undefined });
  });

  it("take a put only at the version it names", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    expect(await put(vault, "a", "1", 0)).toBe(1);
    await expect(put(vault, "a", "again", 0)).rejects.toMatchObject({ code: "vault.version-conflict" });
    expect(await put(vault, "a", "2", 1)).toBe(2);
    await expect(put(vault, "a", "3", 1)).rejects.toMatchObject({
      code: "vault.version-conflict",
      message: "the path is at version 2, not 1",
    });
    expect(await read(vault, "a")).toBe("2");
  });

  it("let exactly one of many compare-and-set puts win", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const tries = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => put(vault, "a", `${i}`, 0)));
    expect(tries.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  it("disappear when removed, and go on counting when put again", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await put(vault, "a/b", "1");
    await put(vault, "a/b", "2");
    expect(await remove(vault, "a/b")).toBe(2);
    await expect(read(vault, "a/b")).rejects.toMatchObject({ code: "vault.not-found" });
    await expect(read(vault, "a/b", 1)).rejects.toMatchObject({ code: "vault.not-found" });
    await expect(remove(vault, "a/b")).rejects.toMatchObject({ code: "vault.not-found" });
    expect((await vault.secrets.list({ limit: 10 })).secrets).toEqual([]);
    expect(await put(vault, "a/b", "3", 0)).toBe(3);
    await expect(read(vault, "a/b", 2)).rejects.toMatchObject({ code: "vault.version-not-found" });
    const history = await vault.secrets.history(parseSecretPath("a/b"));
    expect(history.map(({ version, isRemoved }) => [version, isRemoved])).toEqual([
      [3, false],
      [2, true],
      [1, true],
    ]);
  });

  it("keep the newest versions only", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open({ limits: { secretVersionsKept: 3 } });
    for (let i = 1; i <= 5; i += 1) await put(vault, "a", `${i}`);
    expect((await vault.secrets.history(parseSecretPath("a"))).map(({ version }) => version)).toEqual([
      5, 4, 3,
    ]);
    await expect(read(vault, "a", 2)).rejects.toMatchObject({
      code: "vault.version-not-found",
      hint: "versions that can be read: 3, 4, 5",
    });
    expect(await read(vault, "a", 3)).toBe("3");
  });

  it("are listed by folder, in order, page by page", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    for (const path of ["a", "a/x", "a/y/z", "a-b/c", "ab", "b/x"]) await put(vault, path, path);
    const list = async (prefix: string, after?: string, limit = 10) => {
      const input = { prefix: parseFolderPath(prefix), limit };
      const { secrets, next } = await vault.secrets.list(
        after === undefined ? input : { ...input, after: parseSecretPath(after) },
      );
      return [secrets.map(({ path }) => path), next];
    };
    expect(await list("")).toEqual([["a", "a-b/c", "a/x", "a/y/z", "ab", "b/x"], undefined]);
    expect(await list("a")).toEqual([["a/x", "a/y/z"], undefined]);
    expect(await list("a", "a/x")).toEqual([["a/y/z"], undefined]);
    expect(await list("", undefined, 2)).toEqual([["a", "a-b/c"], "a-b/c"]);
    expect(await list("", "a-b/c", 4)).toEqual([["a/x", "a/y/z", "ab", "b/x"], undefined]);
    expect(await list("", "b/x")).toEqual([[], undefined]);
  });

  it("are found behind thousands of removed ones, some at a time", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const paths = Array.from({ length: 2_500 }, (_, index) => `a/${String(index).padStart(4, "0")}`);
    await Promise.all(paths.map((path) => put(vault, path, "")));
    await Promise.all(paths.map((path) => vault.secrets.remove({ path: parseSecretPath(path) }, event())));
    await put(vault, "b", "");
    const first = await vault.secrets.list({ limit: 10 });
    expect(first).toEqual({ secrets: [], next: "a/1999" });
    const second = await vault.secrets.list({ limit: 10, after: parseSecretPath(String(first.next)) });
    expect(second).toMatchObject({ secrets: [{ path: "b" }], next: undefined });
  });

  it("refuse a value above the limit and take one at it", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const path = parseSecretPath("big");
    const value = place.random.bytes(LIMITS.secretValueBytes);
    const tooLarge = new Uint8Array(LIMITS.secretValueBytes + 1);
    await expect(vault.secrets.put({ path, value: tooLarge, createdBy: "t" }, event())).rejects.toMatchObject(
      { code: "vault.too-large" },
    );
    await vault.secrets.put({ path, value, contentType: "application/x-tar", createdBy: "t" }, event());
    const read = await vault.secrets.get(path);
    expect(Buffer.from(read.value).equals(value)).toBe(true);
    expect(read.contentType).toBe("application/x-tar");
  });

  it("refuse to grow past the vault's limit, and fit again when old versions have gone", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open({ limits: { vaultBytes: 30_000, secretVersionsKept: 2 } });
    const value = "x".repeat(9_000);
    await put(vault, "a", value);
    await put(vault, "a", value);
    await put(vault, "a", value);
    await put(vault, "a", value);
    const both = await Promise.allSettled([put(vault, "b", value), put(vault, "c", value)]);
    expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    await expect(put(vault, "d", value)).rejects.toMatchObject({ code: "vault.full" });
  });
});

describe("a secret's path", () => {
  it.each([
    "",
    "/",
    "a//b",
    "/a",
    "a/",
    ".",
    "a/../b",
    "a/./b",
    "ä",
    "a b",
    "a\n",
    "x".repeat(129),
    `${"abc/".repeat(128)}a`,
  ])("is not %j", (text) => {
    expect(() => parseSecretPath(text)).toThrow(expect.objectContaining({ code: "vault.bad-path" }));
  });

  it.each(["a", "a/b/c", "A-Z_0.9/.hidden", "x".repeat(128)])("may be %j", (text) => {
    expect(parseSecretPath(text)).toBe(text);
  });
});
