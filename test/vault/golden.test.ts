import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { fromUtf8, utf8 } from "../../src/core/index.ts";
import { type KeyProvider, passphraseProvider, recoveryProvider } from "../../src/keystore/index.ts";
import { keyFileProvider, openVaultKeyring, parseSecretPath, Vault } from "../../src/vault/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { GOLDEN_PASSPHRASE, goldenRecoveryKey } from "./golden/keys.ts";
import { MemoryDisk } from "./memory-disk.ts";
import { givenKek } from "./store-world.ts";
import { event, MemoryAudit, put, read } from "./support.ts";

const GOLDEN = fileURLToPath(new URL("golden", import.meta.url));
const KEY_FILE = "020ffab28567773d8dba4227c384325e.kek";
/** An hour after the vaults were made. */
const LATER_MS = 1_700_000_000_000 + 3_600_000;

/** A copy of a vault that an earlier gatehouse wrote, gone with the test. */
class GoldenVault implements AsyncDisposable {
  readonly root: string;
  readonly dir: string;
  readonly random = new SeededRandom(3);
  readonly #audit = new MemoryAudit();

  private constructor(root: string, heardThrough: number) {
    this.root = root;
    this.dir = join(root, "vault");
    this.#audit.entries.push({ sequence: heardThrough, events: [] });
  }

  /** `heardThrough`: what its audit log had. */
  static async of(format: string, heardThrough: number): Promise<GoldenVault> {
    const place = new GoldenVault(await mkdtemp(join(tmpdir(), "gatehouse-golden-")), heardThrough);
    await mkdir(place.dir, { mode: 0o700 });
    for (const name of await readdir(join(GOLDEN, format))) {
      const target = join(name === KEY_FILE ? place.root : place.dir, name);
      await writeFile(target, await readFile(join(GOLDEN, format, name)), { mode: 0o600 });
    }
    return place;
  }

  get keyFile(): KeyProvider {
    return keyFileProvider({ path: join(this.root, KEY_FILE), random: this.random });
  }

  async open(kek: KeyProvider = this.keyFile): Promise<Vault> {
    const { dir, random } = this;
    return await Vault.open({ dir, random, audit: this.#audit, kek, clock: new ManualClock(LATER_MS) });
  }

  /** Its files on a disk that knows what a power loss would leave. */
  async onMemoryDisk(): Promise<MemoryDisk> {
    const names = await readdir(this.dir);
    const files = names.map(async (name) => {
      return [join(this.dir, name), new Uint8Array(await readFile(join(this.dir, name)))] as const;
    });
    return MemoryDisk.of(new Map(await Promise.all(files)));
  }

  async format(): Promise<number | undefined> {
    return (await readFile(join(this.dir, "header")))[3];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }
}

const formatOne = () => GoldenVault.of("format-1", 4);
const FULL = ["format-2", "format-3"] as const;

async function expectFirst(vault: Vault): Promise<void> {
  expect(await read(vault, "shared/first", 1)).toBe("one");
  expect(await read(vault, "shared/first")).toBe("two");
  expect(await read(vault, "shared/large")).toBe("x".repeat(20_000));
  expect(await read(vault, "shared/last")).toBe("three");
  expect(vault.settings.get("golden/setting")).toEqual(Uint8Array.of(1, 2, 3));
}

/** What can be read of a path: its live value, and each version's or what it became. */
async function told(vault: Vault, name: string) {
  const path = parseSecretPath(name);
  const textOf = async (version?: number): Promise<string> => {
    try {
      return fromUtf8((await vault.secrets.get(path, version)).value).slice(0, 20);
    } catch (failure) {
      return failure instanceof Error && "code" in failure ? String(failure.code) : String(failure);
    }
  };
  const history = await vault.secrets.history(path);
  const versions = await Promise.all(
    history.map(async ({ version, isDestroyed }) => (isDestroyed ? "destroyed" : await textOf(version))),
  );
  return { live: await textOf(), versions };
}

describe("a vault of format 1", () => {
  it("opens, header, snapshot, journal and envelopes, and takes changes; its header stays as it was", async () => {
    await using place = await formatOne();
    const before = await readFile(join(place.dir, "header"));
    {
      await using vault = await place.open();
      await expectFirst(vault);
      expect(await put(vault, "shared/first", "four")).toBe(3);
    }
    expect(await readFile(join(place.dir, "header"))).toEqual(before);
  });

  it.each(["a key that is added", "a rotation of its keys"])(
    "gets a header of format 3 with %s",
    async (what) => {
      await using place = await formatOne();
      {
        await using vault = await place.open();
        if (what === "a key that is added") {
          await vault.keys.addSlot(
            keyFileProvider({ path: join(place.root, "second"), random: place.random }),
            5,
          );
        } else {
          await vault.rotation.begin("kek", { ended: () => utf8("rotated") }, event());
          await vault.rotation.finished();
        }
        expect(await place.format()).toBe(3);
      }
      await using vault = await place.open();
      await expectFirst(vault);
      expect(vault.keys.slots[0]).toMatchObject({
        number: 1,
        kind: "key-file",
        createdAt: 1_700_000_000_000,
      });
    },
  );
});

describe("the change of a header from format 1 to 3", () => {
  const headerOn = (disk: MemoryDisk, { dir }: GoldenVault) =>
    disk.contents.get(join(dir, "header")) ?? new Uint8Array();

  async function expectOpens(disk: MemoryDisk, place: GoldenVault): Promise<void> {
    const { dir, random, keyFile } = place;
    const { keks } = await openVaultKeyring(dir, keyFile, { files: disk, random });
    expect(keks.map(({ term }) => term)).toEqual([1]);
  }

  it("leaves one or the other whenever power is lost, and each opens with the old key", async () => {
    await using place = await formatOne();
    const disk = await place.onMemoryDisk();
    const { dir, random, keyFile } = place;
    const keyring = await openVaultKeyring(dir, keyFile, { files: disk, random });
    const moments: MemoryDisk[] = [];
    let isDone = false;
    const adding = keyring.addSlot(givenKek, 5).finally(() => {
      isDone = true;
    });
    while (!isDone) {
      for (const unsynced of ["gone", "half", "there"] as const) moments.push(disk.afterPowerLoss(unsynced));
      await setImmediate();
    }
    await adding;
    for (const moment of moments) await expectOpens(moment, place);
    const formats = moments.map((moment) => headerOn(moment, place)[3]);
    expect(new Set(formats)).toEqual(new Set([1, 3]));
    expect(headerOn(disk.afterPowerLoss("gone"), place)[3]).toBe(3);
  });

  it.each(["full", "failing"] as const)("that fails on a %s disk is not taken for done", async (fault) => {
    await using place = await formatOne();
    const disk = await place.onMemoryDisk();
    const { dir, random, keyFile } = place;
    const keyring = await openVaultKeyring(dir, keyFile, { files: disk, random });
    disk.break({ fault, after: 0, count: 1 });
    await expect(keyring.addSlot(givenKek, 5)).rejects.toMatchObject({ code: "file.io" });
    expect(keyring.slots).toHaveLength(1);
    for (const unsynced of ["gone", "half", "there"] as const) {
      await expectOpens(disk.afterPowerLoss(unsynced), place);
    }
    await keyring.addTerm();
    expect(headerOn(disk.afterPowerLoss("gone"), place)[3]).toBe(3);
  });
});

describe.each(FULL)("a vault of %s", (format) => {
  const full = () => GoldenVault.of(format, 28);

  it("opens, and every path is as it was left", async () => {
    await using place = await full();
    await using vault = await place.open();
    expect(vault.report).toMatchObject({ snapshot: 4, replayed: 8, cutBytes: 0, handedOver: 0 });
    expect(await told(vault, "shared/first")).toEqual({
      live: "four",
      versions: ["four", "three", "two", "one"],
    });
    expect(await read(vault, "shared/large")).toBe("x".repeat(20_000));
    expect(await told(vault, "shared/removed")).toEqual({
      ...{ live: "vault.not-found", versions: ["vault.not-found", "vault.not-found"] },
    });
    expect(await told(vault, "shared/undeleted")).toEqual({ live: "back again", versions: ["back again"] });
    expect(await told(vault, "shared/destroyed")).toEqual({
      ...{ live: "third", versions: ["third", "destroyed", "first"] },
    });
    expect(await told(vault, "shared/gone")).toEqual({ live: "vault.not-found", versions: ["destroyed"] });
    expect(await told(vault, "shared/expired")).toEqual({
      ...{ live: "vault.not-found", versions: ["vault.version-not-found"] },
    });
    expect(await told(vault, "shared/lasting")).toEqual({ live: "lasting", versions: ["lasting"] });
    expect(await told(vault, "shared/replayed")).toEqual({ live: "once", versions: ["once"] });
  });

  it("has its labels, times, settings, replies and devices", async () => {
    await using place = await full();
    await using vault = await place.open();
    const labels = { owner: "team-a", tier: "gold" };
    const { secrets } = await vault.secrets.list({ limit: 100, labels: { tier: "gold" } });
    expect(secrets).toMatchObject([
      { path: "shared/labelled", version: 1, sizeBytes: 8, expiresAt: 0, labels },
    ]);
    const labelled = await vault.secrets.get(parseSecretPath("shared/labelled"));
    expect(labelled).toMatchObject({ contentType: "text/plain", createdAt: 1_700_000_000_000, labels });
    expect(vault.settings.get("golden/setting")).toEqual(Uint8Array.of(1, 2, 3));
    expect(vault.replies.lookup("p", utf8("id"))).toMatchObject({ reply: utf8("reply") });
    expect(vault.devices.list()).toMatchObject([{ name: "phone", roles: ["reader"], state: "active" }]);
  });

  it("opens with each of its keys, which all give the same", async () => {
    await using place = await full();
    const recovery = goldenRecoveryKey();
    const keks = [
      place.keyFile,
      passphraseProvider({ random: place.random, ask: async () => utf8(GOLDEN_PASSPHRASE) }),
      recoveryProvider({ ask: async () => recovery.text.use((bytes) => new Uint8Array(bytes)) }),
    ];
    for (const kek of keks) {
      await using vault = await place.open(kek);
      expect(vault.keys.slots.map(({ kind }) => kind)).toEqual(["key-file", "passphrase", "recovery"]);
      expect(await read(vault, "shared/first", 2)).toBe("two");
      const { keks: terms } = await openVaultKeyring(place.dir, kek, { random: place.random });
      expect(terms.map(({ term }) => term)).toEqual([2]);
    }
  });

  it("takes changes, rotations of both kinds included", async () => {
    await using place = await full();
    {
      await using vault = await place.open();
      await vault.secrets.undelete({ path: parseSecretPath("shared/removed") }, event());
      for (const kind of ["deks", "kek"] as const) {
        await vault.rotation.begin(kind, { ended: () => utf8("rotated") }, event());
        await vault.rotation.finished();
        expect(vault.rotation.progress).toMatchObject({ kind, state: "done" });
      }
    }
    await using vault = await place.open();
    expect(await told(vault, "shared/removed")).toEqual({ live: "removed", versions: ["removed", "old"] });
    expect(await told(vault, "shared/first")).toEqual({
      live: "four",
      versions: ["four", "three", "two", "one"],
    });
  });
});
