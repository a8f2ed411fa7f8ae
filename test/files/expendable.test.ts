import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { utf8 } from "../../src/core/index.ts";
import { listNames, removeExpendable, takeExpendable, writeExpendable } from "../../src/files/index.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "gatehouse-expendable-"));
});
afterAll(async () => {
  await rm(dir, { recursive: true });
});

describe("expendable files", () => {
  it("are replaced whole, for this user alone, and leave nothing else behind", async () => {
    const path = join(dir, "whole");
    await writeExpendable(path, utf8("old"));
    await writeExpendable(path, utf8("new"));
    expect(await readFile(path, "utf8")).toBe("new");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    await expect(writeExpendable(join(dir, "missing", "file"), utf8("x"))).rejects.toMatchObject({
      code: "file.not-found",
    });
    expect(await readdir(dir)).toEqual(["whole"]);
    expect(await removeExpendable(path)).toBe(true);
  });

  it("are taken by one of all who try", async () => {
    const path = join(dir, "one");
    await writeExpendable(path, utf8("once"));
    const taken = await Promise.all(Array.from({ length: 8 }, () => takeExpendable(path, 100)));
    expect(taken.filter((bytes) => bytes !== undefined)).toEqual([new Uint8Array(Buffer.from("once"))]);
    expect(await takeExpendable(path, 100)).toBeUndefined();
    expect(await removeExpendable(path)).toBe(false);
  });

  it("that have grown too large are removed unread", async () => {
    const path = join(dir, "large");
    await writeFile(path, "123456");
    await expect(takeExpendable(path, 5)).rejects.toMatchObject({ code: "file.too-large" });
    expect(await removeExpendable(path)).toBe(false);
  });

  it("are listed by name without those that are being written; a missing folder lists none", async () => {
    const path = join(dir, "b");
    await writeExpendable(path, utf8("x"));
    await writeFile(join(dir, "a"), "x");
    await writeFile(join(dir, ".c.tmp"), "x");
    expect(await listNames(dir)).toEqual(["a", "b"]);
    expect(await listNames(join(dir, "nowhere"))).toEqual([]);
    await expect(listNames(path)).rejects.toMatchObject({ code: "file.io" });
  });
});
