import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { keyFileProvider, Vault } from "../../src/vault/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { MemoryAudit, put, read } from "./support.ts";

const GOLDEN = fileURLToPath(new URL("golden", import.meta.url));
const KEY_FILE = "020ffab28567773d8dba4227c384325e.kek";

/** A copy of a vault that an earlier gatehouse wrote, gone with the test. */
class GoldenVault implements AsyncDisposable {
  readonly root: string;
  readonly dir: string;
  readonly random = new SeededRandom(3);

  private constructor(root: string) {
    this.root = root;
    this.dir = join(root, "vault");
  }

  static async of(format: string): Promise<GoldenVault> {
    const place = new GoldenVault(await mkdtemp(join(tmpdir(), "gatehouse-golden-")));
    await mkdir(place.dir, { mode: 0o700 });
    for (const name of await readdir(join(GOLDEN, format))) {
      const target = join(name === KEY_FILE ? place.root : place.dir, name);
      await writeFile(target, await readFile(join(GOLDEN, format, name)), { mode: 0o600 });
    }
    return place;
  }

  async open(): Promise<Vault> {
    const { dir, root, random } = this;
    const audit = new MemoryAudit();
    audit.entries.push({ sequence: 4, events: [] });
    return await Vault.open({
      ...{ dir, random, audit, clock: new ManualClock() },
      kek: keyFileProvider({ path: join(root, KEY_FILE), random }),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }
}

async function expectAll(vault: Vault): Promise<void> {
  expect(await read(vault, "shared/first", 1)).toBe("one");
  expect(await read(vault, "shared/first")).toBe("two");
  expect(await read(vault, "shared/large")).toBe("x".repeat(20_000));
  expect(await read(vault, "shared/last")).toBe("three");
  expect(vault.settings.get("golden/setting")).toEqual(Uint8Array.of(1, 2, 3));
}

describe("a vault of format 1", () => {
  it("opens, header, snapshot, journal and envelopes, and takes changes; its header stays as it was", async () => {
    await using place = await GoldenVault.of("format-1");
    const before = await readFile(join(place.dir, "header"));
    {
      await using vault = await place.open();
      await expectAll(vault);
      expect(await put(vault, "shared/first", "four")).toBe(3);
    }
    expect(await readFile(join(place.dir, "header"))).toEqual(before);
  });
});
