import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { unixMs, utf8 } from "../../src/core/index.ts";
import {
  checkPrivate,
  checkPrivateTree,
  createOnce,
  ensurePrivateDir,
  homeLayout,
  readSmallFile,
  removeFile,
  removeLeftovers,
  writeAtomic,
} from "../../src/files/index.ts";

let dir: string;
let count = 0;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "gatehouse-files-"));
});
afterAll(async () => {
  await rm(dir, { recursive: true });
});
function fresh(): string {
  count += 1;
  return join(dir, `file-${count}`);
}
const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

describe("a home's layout", () => {
  it("keeps every path inside the home, absolute and distinct", () => {
    const { root, ...rest } = homeLayout("some/home");
    const paths: string[] = Object.values(rest);
    expect(root.startsWith("/")).toBe(true);
    expect(paths.every((path) => path.startsWith(`${root}/`))).toBe(true);
    expect(new Set(paths).size).toBe(paths.length);
  });
});

describe("private directories", () => {
  it("are made with everything above them, closed to others, and may be there already", async () => {
    const path = join(fresh(), "a", "b");
    await ensurePrivateDir(path);
    await ensurePrivateDir(path);
    expect(await modeOf(path)).toBe(0o700);
    expect(await modeOf(join(path, ".."))).toBe(0o700);
  });

  it("are refused with the command that mends them when group or others may enter", async () => {
    const path = fresh();
    await mkdir(path);
    for (const mode of [0o710, 0o740, 0o701, 0o777]) {
      await chmod(path, mode);
      await expect(ensurePrivateDir(path)).rejects.toMatchObject({
        code: "home.bad-permissions",
        message: `${path} is open to other users`,
        hint: `chmod 700 ${path}`,
      });
    }
  });

  it("are refused when a link, or nothing, stands in their place", async () => {
    const path = fresh();
    await symlink(dir, path);
    await expect(checkPrivate(path)).rejects.toMatchObject({ code: "home.bad-permissions" });
    await expect(checkPrivate(fresh())).rejects.toMatchObject({ code: "file.not-found" });
  });

  it("cannot be made where a file stands in the way", async () => {
    const path = fresh();
    await writeAtomic(path, utf8("x"));
    await expect(ensurePrivateDir(join(path, "below"))).rejects.toMatchObject({ code: "file.io" });
  });
});

describe("a private tree", () => {
  it("is refused for any one file or directory that is open to others, named with what mends it", async () => {
    const path = fresh();
    await ensurePrivateDir(join(path, "a", "b"));
    await writeAtomic(join(path, "a", "b", "file"), utf8("x"));
    await checkPrivateTree(path);
    for (const [inner, mode] of [
      ["a", 0o700],
      ["a/b", 0o700],
      ["a/b/file", 0o600],
    ] as const) {
      const open = join(path, inner);
      await chmod(open, mode | 0o040);
      await expect(checkPrivateTree(path)).rejects.toMatchObject({
        code: "home.bad-permissions",
        hint: `chmod ${mode.toString(8)} ${open}`,
      });
      await chmod(open, mode);
    }
    await symlink(dir, join(path, "link"));
    await expect(checkPrivateTree(path)).rejects.toMatchObject({ code: "home.bad-permissions" });
    await expect(checkPrivateTree(fresh())).rejects.toMatchObject({ code: "file.not-found" });
  });
});

describe("private files", () => {
  it("are refused when group or others may read them", async () => {
    const path = fresh();
    await writeAtomic(path, utf8("x"));
    await checkPrivate(path);
    await chmod(path, 0o640);
    await expect(checkPrivate(path)).rejects.toMatchObject({
      code: "home.bad-permissions",
      hint: `chmod 600 ${path}`,
    });
  });
});

describe("reading a small file", () => {
  it("gives its bytes up to the bound and refuses one byte more", async () => {
    const path = fresh();
    await writeFile(path, "12345");
    expect(await readSmallFile(path, 5)).toEqual(utf8("12345"));
    await expect(readSmallFile(path, 4)).rejects.toMatchObject({ code: "file.too-large" });
    await truncate(path);
    expect(await readSmallFile(path, 4)).toEqual(new Uint8Array());
  });

  it("names the file and not its directory when it is missing or is no file", async () => {
    const path = fresh();
    const missing = await readSmallFile(path).catch((failure: unknown) => failure);
    expect(missing).toMatchObject({ code: "file.not-found" });
    expect(String(missing)).toContain("file-");
    expect(String(missing)).not.toContain(dir);
    await expect(readSmallFile(dir)).rejects.toMatchObject({ code: "file.io" });
  });
});

describe("an atomic write", () => {
  it("replaces the content, closes the file to others and leaves nothing beside it", async () => {
    const inside = fresh();
    await ensurePrivateDir(inside);
    const path = join(inside, "state");
    await writeFile(path, "old", { mode: 0o644 });
    await writeAtomic(path, utf8("new"));
    expect(await readSmallFile(path)).toEqual(utf8("new"));
    expect(await modeOf(path)).toBe(0o600);
    expect(await readdir(inside)).toEqual(["state"]);
  });

  it("fails without leftovers where the target is a directory, and says when the directory is missing", async () => {
    const inside = fresh();
    await mkdir(join(inside, "target"), { recursive: true });
    await expect(writeAtomic(join(inside, "target"), utf8("x"))).rejects.toMatchObject({ code: "file.io" });
    expect(await readdir(inside)).toEqual(["target"]);
    await expect(writeAtomic(join(fresh(), "x"), utf8("x"))).rejects.toMatchObject({
      code: "file.not-found",
    });
  });
});

describe("creating a file once", () => {
  it("keeps the first content whoever comes later", async () => {
    const path = fresh();
    expect(await createOnce(path, utf8("first"))).toBe("created");
    expect(await createOnce(path, utf8("second"))).toBe("exists");
    expect(await readSmallFile(path)).toEqual(utf8("first"));
    expect(await modeOf(path)).toBe(0o600);
  });

  it("tells one of many writers that it was first", async () => {
    const inside = fresh();
    await ensurePrivateDir(inside);
    const path = join(inside, "once");
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, index) => createOnce(path, utf8(`writer ${index}`))),
    );
    expect(outcomes.filter((outcome) => outcome === "created")).toHaveLength(1);
    expect(await readSmallFile(path)).toEqual(utf8(`writer ${outcomes.indexOf("created")}`));
    expect(await readdir(inside)).toEqual(["once"]);
  });
});

describe("removing", () => {
  it("is done once and harmless after that", async () => {
    const path = fresh();
    await writeAtomic(path, utf8("x"));
    await removeFile(path);
    await removeFile(path);
    await expect(readSmallFile(path)).rejects.toMatchObject({ code: "file.not-found" });
  });

  it("clears temporary files that were abandoned, and no others", async () => {
    const inside = fresh();
    await ensurePrivateDir(inside);
    const old = join(inside, `.state.${"0a".repeat(16)}.tmp`);
    const young = join(inside, `.state.${"0b".repeat(16)}.tmp`);
    for (const path of [old, young, join(inside, ".notes.tmp")]) await writeFile(path, "x");
    await utimes(old, 1000, 1000);
    await utimes(join(inside, ".notes.tmp"), 1000, 1000);
    expect(await removeLeftovers(inside, unixMs(2_000_000))).toBe(1);
    expect((await readdir(inside)).sort()).toEqual([".notes.tmp", `.state.${"0b".repeat(16)}.tmp`]);
  });
});
