import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/core/index.ts";
import { AppendFile, writeAtomic } from "../../src/files/index.ts";

let dir: string;
let count = 0;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "gatehouse-append-"));
});
afterAll(async () => {
  await rm(dir, { recursive: true });
});
function fresh(): string {
  count += 1;
  return join(dir, `file-${count}`);
}

describe("an append file", () => {
  it("holds, after closing and opening again, exactly what was appended in order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 500 }), { maxLength: 8 }), async (chunks) => {
        const path = fresh();
        {
          await using file = await AppendFile.open(path, { create: true });
          for (const chunk of chunks) await file.append(chunk);
          await file.sync();
        }
        await using again = await AppendFile.open(path, { create: false });
        expect(await again.readAll()).toEqual(concat(...chunks));
        expect(again.size).toBe(concat(...chunks).length);
      }),
      { numRuns: 30 },
    );
  });

  it("is made closed to others, and only when asked for", async () => {
    const path = fresh();
    await expect(AppendFile.open(path, { create: false })).rejects.toMatchObject({ code: "file.not-found" });
    await using _file = await AppendFile.open(path, { create: true });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it("goes on where the file ended, and from where it was cut", async () => {
    const path = fresh();
    await writeAtomic(path, utf8("0123456789"));
    await using file = await AppendFile.open(path, { create: true });
    await file.append(utf8("ab"));
    expect(await file.read(8, 100)).toEqual(utf8("89ab"));
    await file.truncate(4);
    await file.append(utf8("!"));
    expect(await file.readAll()).toEqual(utf8("0123!"));
    expect(await file.read(9, 1)).toEqual(new Uint8Array());
  });

  it("is cut to no size that it does not have", async () => {
    await using file = await AppendFile.open(fresh(), { create: true });
    await expect(file.truncate(1)).rejects.toThrow(RangeError);
    await expect(file.truncate(-1)).rejects.toThrow(RangeError);
  });

  it("refuses a second write while one is under way, and loses nothing by it", async () => {
    await using file = await AppendFile.open(fresh(), { create: true });
    const first = file.append(utf8("first"));
    await expect(file.append(utf8("second"))).rejects.toThrow(TypeError);
    await first;
    expect(await file.readAll()).toEqual(utf8("first"));
  });

  it("opens neither a directory nor a device", async () => {
    await expect(AppendFile.open("/dev/null", { create: false })).rejects.toMatchObject({ code: "file.io" });
    await expect(AppendFile.open(dir, { create: true })).rejects.toMatchObject({ code: "file.io" });
  });
});
