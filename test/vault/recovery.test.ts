import { copyFile, cp, mkdir, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hex } from "../../src/core/index.ts";
import { keyFileProvider, parseSecretPath, Vault } from "../../src/vault/index.ts";
import { times } from "../support/effort.ts";
import { MemoryAudit, put, read, VaultPlace } from "./support.ts";

const JOURNAL = "journal-0000000001";
const SEGMENT_HEADER_BYTES = 108;

/** Every file of the folder with its bytes. */
async function contents(dir: string): Promise<Record<string, string>> {
  const names = (await readdir(dir)).sort();
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, hex(await readFile(join(dir, name)))] as const)),
  );
}

/** A vault with three groups in its journal, closed; answers where each group ends. */
async function threePuts(place: VaultPlace): Promise<readonly number[]> {
  await using vault = await place.open();
  const ends: number[] = [];
  for (const name of ["a", "b", "c"]) {
    await put(vault, name, `value of ${name}`);
    ends.push((await readFile(join(place.dir, JOURNAL))).length);
  }
  return ends;
}

describe("a journal that ends early", () => {
  it("is cut at its last whole group, wherever it ends, and never gives a wrong answer", async () => {
    await using place = await VaultPlace.make();
    const ends = await threePuts(place);
    const whole = await readFile(join(place.dir, JOURNAL));
    for (let size = SEGMENT_HEADER_BYTES; size <= whole.length; size += times({ short: 5, long: 1 })) {
      await writeFile(join(place.dir, JOURNAL), whole.subarray(0, size));
      // Nobody had been told of what a crash cuts short.
      place.audit = new MemoryAudit();
      await using vault = await place.open();
      const kept = ["a", "b", "c"].filter((_, index) => (ends[index] ?? 0) <= size);
      const { secrets } = await vault.secrets.list({ limit: 10 });
      expect(secrets.map(({ path }) => path)).toEqual(kept);
      for (const name of kept) expect(await read(vault, name)).toBe(`value of ${name}`);
      const lastEnd = ends[kept.length - 1] ?? SEGMENT_HEADER_BYTES;
      expect(vault.report.cutBytes).toBe(size - lastEnd);
    }
  });

  it("is refused when not even its header is whole: segments are put in place whole", async () => {
    await using place = await VaultPlace.make();
    await threePuts(place);
    const whole = await readFile(join(place.dir, JOURNAL));
    for (let size = 0; size < SEGMENT_HEADER_BYTES; size += 1) {
      await writeFile(join(place.dir, JOURNAL), whole.subarray(0, size));
      await expect(place.open()).rejects.toMatchObject({ code: "vault.damaged" });
    }
  });

  it("takes new groups where it was cut, and they survive", async () => {
    await using place = await VaultPlace.make();
    const [, second = 0, third = 0] = await threePuts(place);
    await truncate(join(place.dir, JOURNAL), third - 1);
    place.audit = new MemoryAudit();
    {
      await using vault = await place.open();
      expect(vault.report.cutBytes).toBe(third - 1 - second);
      await put(vault, "c", "anew");
    }
    await using vault = await place.open();
    expect(await read(vault, "c")).toBe("anew");
    expect(await read(vault, "b")).toBe("value of b");
  });

  it("is cut, and said to be behind, when the audit log knew of the group it ends in", async () => {
    await using place = await VaultPlace.make();
    const [, , third = 0] = await threePuts(place);
    expect(place.audit.lastJournalSequence).toBe(3);
    await truncate(join(place.dir, JOURNAL), third - 1);
    {
      await using vault = await place.open();
      expect(vault.report).toMatchObject({ isBehindAudit: true });
      await put(vault, "d", "later");
    }
    // The lost one's number is not used again.
    expect(place.audit.lastJournalSequence).toBe(4);
    await using vault = await place.open();
    expect(vault.report).toMatchObject({ isBehindAudit: false, handedOver: 0 });
    expect(await read(vault, "d")).toBe("later");
  });

  it("is refused when the audit log knows of more than one group could have held", async () => {
    await using place = await VaultPlace.make();
    const [first = 0] = await threePuts(place);
    await truncate(join(place.dir, JOURNAL), first);
    await expect(place.open()).rejects.toMatchObject({
      code: "vault.damaged",
      message: `${JOURNAL} is damaged at offset ${first}: it ends before changes that the audit log knows of`,
    });
    await truncate(join(place.dir, JOURNAL), first - 1);
    await expect(place.open()).rejects.toMatchObject({ code: "vault.damaged" });
  });
});

describe("a vault with one changed byte", () => {
  it("refuses to open wherever it is, says in which file, and changes nothing", async () => {
    await using place = await VaultPlace.make();
    {
      await using vault = await place.open({ limits: { journalTransactions: 1 } });
      await put(vault, "a", "1");
      await put(vault, "a", "2");
    }
    {
      await using vault = await place.open();
      await put(vault, "b", "3");
    }
    const before = await contents(place.dir);
    const names = Object.keys(before);
    expect(names.map((name) => name.split("-")[0])).toEqual(["header", "journal", "snapshot"]);
    for (const name of names) {
      const path = join(place.dir, name);
      const bytes = await readFile(path);
      for (const offset of offsetsOf(bytes.length)) {
        bytes[offset] = (bytes[offset] ?? 0) ^ (1 << (offset % 8));
        await writeFile(path, bytes);
        const failure: unknown = await place.open().then(
          () => undefined,
          (error: unknown) => error,
        );
        expect({ name, offset, failure }).toMatchObject({ failure: { code: "vault.damaged", exitCode: 9 } });
        expect(String(failure)).toContain(name);
        bytes[offset] = (bytes[offset] ?? 0) ^ (1 << (offset % 8));
      }
      await writeFile(path, bytes);
    }
    expect(await contents(place.dir)).toEqual(before);
    await using vault = await place.open();
    expect(await read(vault, "b")).toBe("3");
  });

  it("refuses to open when it lies in a file that a cut-short checkpoint left behind", async () => {
    await using place = await VaultPlace.make();
    await threePuts(place);
    const old = join(place.root, "old");
    await cp(place.dir, old, { recursive: true });
    {
      await using vault = await place.open({ limits: { journalTransactions: 1 } });
      await put(vault, "d", "4");
    }
    // As if the crash had come before the old segment was removed.
    const bytes = await readFile(join(old, JOURNAL));
    const current = await readdir(place.dir);
    expect(current).not.toContain(JOURNAL);
    for (const offset of [0, 5, 50, 107, 108, 124, 155, 156, bytes.length - 1]) {
      const flipped = Uint8Array.from(bytes);
      flipped[offset] = (flipped[offset] ?? 0) ^ 1;
      await writeFile(join(place.dir, JOURNAL), flipped, { mode: 0o600 });
      await expect(place.open()).rejects.toMatchObject({ code: "vault.damaged" });
    }
  });
});

/** Every offset of a small file; of a large one all near its ends and borders, and a sample between. */
function offsetsOf(length: number): readonly number[] {
  const step = times({ short: 4, long: 1 });
  // Eight bits in turn, so that each comes up.
  const all = Array.from({ length }, (_, offset) => offset).filter(
    (offset) => (offset + (offset >> 3)) % step === 0,
  );
  if (length < 4_000) return all;
  return all.filter((offset) => offset < 200 || offset >= length - 100 || offset % 97 === 0);
}

describe("a vault with a file too short or too long", () => {
  it("refuses to open, whichever length it has", async () => {
    await using place = await VaultPlace.make();
    {
      await using vault = await place.open({ limits: { journalTransactions: 0 } });
      await put(vault, "a", "1");
    }
    for (const name of ["header", "snapshot-0000000002"]) {
      const path = join(place.dir, name);
      const bytes = await readFile(path);
      for (const length of offsetsOf(bytes.length)) {
        await writeFile(path, bytes.subarray(0, length));
        await expect(place.open()).rejects.toMatchObject({ code: "vault.damaged" });
      }
      await writeFile(path, new Uint8Array([...bytes, 0]));
      await expect(place.open()).rejects.toMatchObject({ code: "vault.damaged" });
      await writeFile(path, bytes);
    }
    await using vault = await place.open();
    expect(await read(vault, "a")).toBe("1");
  });

  it("refuses zeros after its last group: no interrupted write leaves them", async () => {
    await using place = await VaultPlace.make();
    await threePuts(place);
    const bytes = await readFile(join(place.dir, JOURNAL));
    await writeFile(join(place.dir, JOURNAL), new Uint8Array([...bytes, ...new Uint8Array(64)]));
    await expect(place.open()).rejects.toMatchObject({
      code: "vault.damaged",
      message: `${JOURNAL} is damaged at offset ${bytes.length}: a group's header does not verify`,
    });
  });
});

describe("a vault that lost a file", () => {
  it("refuses to open without its header, and is never made anew over what is left", async () => {
    await using place = await VaultPlace.make();
    await threePuts(place);
    await rm(join(place.dir, "header"));
    await expect(place.open()).rejects.toMatchObject({
      code: "vault.damaged",
      message: "header is damaged at offset 0: it is missing",
    });
    expect(await readdir(place.dir)).toEqual([JOURNAL]);
  });

  it("refuses to open without its journal or its snapshot", async () => {
    await using place = await VaultPlace.make();
    {
      await using vault = await place.open({ limits: { journalTransactions: 0 } });
      await put(vault, "a", "1");
    }
    for (const name of ["journal-0000000002", "snapshot-0000000002"]) {
      const path = join(place.dir, name);
      await copyFile(path, join(place.root, name));
      await rm(path);
      await expect(place.open()).rejects.toMatchObject({ code: "vault.damaged" });
      await copyFile(join(place.root, name), path);
    }
    await using vault = await place.open();
    expect(await read(vault, "a")).toBe("1");
  });

  it("refuses another vault's journal or snapshot in the place of its own", async () => {
    await using place = await VaultPlace.make();
    await using other = await VaultPlace.make();
    await threePuts(place);
    other.random.bytes(1);
    await threePuts(other);
    await copyFile(join(other.dir, JOURNAL), join(place.dir, JOURNAL));
    await expect(place.open()).rejects.toMatchObject({ code: "vault.damaged" });
  });
});

describe("making a vault", () => {
  it("starts again where a crash cut it short before the header was there", async () => {
    await using place = await VaultPlace.make();
    await place.open().then((vault) => vault[Symbol.asyncDispose]());
    await rm(join(place.dir, "header"));
    await using vault = await place.open();
    await put(vault, "a", "1");
    expect(await read(vault, "a")).toBe("1");
  });

  it("clears away temporary files of interrupted writes", async () => {
    await using place = await VaultPlace.make();
    await mkdir(place.dir, { mode: 0o700 });
    await writeFile(join(place.dir, `.header.${"0".repeat(32)}.tmp`), "half", { mode: 0o600 });
    await using vault = await place.open();
    expect((await readdir(place.dir)).sort()).toEqual(["header", JOURNAL]);
    expect(vault.id).toMatch(/^[0-9a-f]{32}$/);
  });

  it("is not what open does", async () => {
    await using place = await VaultPlace.make();
    await expect(Vault.open(place.options())).rejects.toMatchObject({ code: "home.not-initialized" });
  });
});

describe("the key", () => {
  it("must be there", async () => {
    await using place = await VaultPlace.make();
    await threePuts(place);
    const before = await contents(place.dir);
    await rm(place.keys, { recursive: true });
    await expect(place.open()).rejects.toMatchObject({ code: "vault.key-missing", exitCode: 8 });
    expect(await contents(place.dir)).toEqual(before);
  });

  it("must be the vault's own", async () => {
    await using place = await VaultPlace.make();
    await using other = await VaultPlace.make();
    await threePuts(place);
    other.random.bytes(1);
    const [otherVault, vault] = [await other.open(), await place.open()];
    await otherVault[Symbol.asyncDispose]();
    await vault[Symbol.asyncDispose]();
    const before = await contents(place.dir);
    const theirs = keyFileProvider({
      path: join(other.keys, `${otherVault.id}.kek`),
      random: place.random,
    });
    await expect(place.open({ kek: theirs })).rejects.toMatchObject({ code: "vault.wrong-key", exitCode: 8 });
    expect(await contents(place.dir)).toEqual(before);
  });

  it("that is some other key opens nothing", async () => {
    await using place = await VaultPlace.make();
    await threePuts(place);
    const { key } = await keyFileProvider({ dir: join(place.root, "more"), random: place.random }).create(
      "0".repeat(32),
    );
    const wrong = {
      kind: "key-file",
      load: async () => key,
      create: async () => Promise.reject(new Error()),
    };
    await expect(place.open({ kek: wrong })).rejects.toMatchObject({ code: "vault.wrong-key" });
    await expect(place.open({ kek: { ...wrong, kind: "passphrase" } })).rejects.toMatchObject({
      code: "vault.wrong-key",
      message: "this vault has no key slot of the kind passphrase",
    });
  });

  it("file is found out when it is damaged, whichever byte it is", async () => {
    await using place = await VaultPlace.make();
    await threePuts(place);
    const [name = ""] = await readdir(place.keys);
    const bytes = await readFile(join(place.keys, name));
    for (let offset = 0; offset < bytes.length; offset += 1) {
      const flipped = Uint8Array.from(bytes);
      flipped[offset] = (flipped[offset] ?? 0) ^ 0x80;
      await writeFile(join(place.keys, name), flipped);
      await expect(place.open()).rejects.toMatchObject({ code: "file.damaged" });
      await writeFile(join(place.keys, name), bytes.subarray(0, offset));
      await expect(place.open()).rejects.toMatchObject({ code: "file.damaged" });
    }
  });
});

describe("what lies on disk", () => {
  it("shows neither a value nor a secret's name", async () => {
    await using place = await VaultPlace.make();
    {
      await using vault = await place.open({ limits: { journalTransactions: 3 } });
      for (let i = 0; i < 8; i += 1) await put(vault, `folder/canary-name-${i}`, `canary-value-${i}`);
      expect(await read(vault, "folder/canary-name-7")).toBe("canary-value-7");
    }
    const names = await readdir(place.root, { recursive: true, withFileTypes: true });
    const files = names.filter((entry) => entry.isFile());
    expect(files.length).toBeGreaterThanOrEqual(4);
    for (const file of files) {
      const bytes = await readFile(join(file.parentPath, file.name));
      const found = ["canary", "SQLite"].filter((text) => bytes.includes(text));
      expect({ file: file.name, found }).toEqual({ file: file.name, found: [] });
    }
    await using vault = await place.open();
    expect(await read(vault, parseSecretPath("folder/canary-name-3"))).toBe("canary-value-3");
  });
});
