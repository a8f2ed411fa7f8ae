import { describe, expect, it } from "vitest";
import { silentLogger, utf8 } from "../../src/core/index.ts";
import {
  type LiveKeyring,
  openVaultKeyring,
  parseSecretPath,
  RememberedReplies,
  Rotation,
  Secrets,
  Settings,
} from "../../src/vault/index.ts";
import { Mutations } from "../../src/vault/mutations.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { describeVaultStore } from "./conformance.ts";
import { OneFileStore } from "./one-file-store.ts";
import { openSqlStore } from "./sql-world.ts";
import { DiskWorld, givenKek, type Opener } from "./store-world.ts";
import { event } from "./support.ts";

const openOneFile: Opener = (dir, on) => OneFileStore.open(dir, on);

describeVaultStore("the engine", () => new DiskWorld(openSqlStore));
describeVaultStore("a second engine", () => new DiskWorld(openOneFile));

/** Keys of a vault that has no records of its own. */
async function keyringAlone(): Promise<LiveKeyring> {
  const world = new DiskWorld(openSqlStore);
  await (await world.open())[Symbol.asyncDispose]();
  return await openVaultKeyring(DiskWorld.DIR, givenKek, { files: world.disk, random: new SeededRandom(5) });
}

describe("what the vault is above its store", () => {
  it("runs on the second engine: secrets, settings and rotation, over a reopening", async () => {
    const world = new DiskWorld(openOneFile);
    const keyring = await keyringAlone();
    const random = new SeededRandom(6);
    const { clock } = world;
    const path = parseSecretPath("a/b");
    const open = async () => {
      const store = await world.open();
      const mutations = new Mutations(store, new RememberedReplies(store, clock));
      const limits = { vaultBytes: 1_000_000, secretVersionsKept: 8 };
      const secrets = new Secrets({ mutations, keyring, clock, random, limits });
      const rotation = new Rotation({ mutations, keyring, clock, random, logger: silentLogger });
      return { store, secrets, rotation, settings: new Settings(mutations) };
    };
    {
      const { store, secrets, rotation, settings } = await open();
      await using _store = store;
      await secrets.put({ path, value: utf8("one"), createdBy: "tester" }, event());
      await secrets.put({ path, value: utf8("x".repeat(20_000)), createdBy: "tester" }, event());
      await settings.set("k", utf8("v"));
      for (const kind of ["kek", "deks"] as const) {
        await rotation.begin(kind, { ended: () => utf8("ended") }, event());
        await rotation.finished();
        expect(rotation.progress).toMatchObject({ kind, state: "done", done: 2 });
      }
      expect(keyring.keks.map(({ term }) => term)).toEqual([2]);
      await secrets.destroy({ path, version: 1 }, event());
    }
    const { store, secrets, settings } = await open();
    await using _store = store;
    expect((await secrets.get(path)).value).toEqual(utf8("x".repeat(20_000)));
    await expect(secrets.get(path, 1)).rejects.toMatchObject({ code: "vault.version-not-found" });
    expect(settings.get("k")).toEqual(utf8("v"));
    expect((await secrets.list({ limit: 9 })).secrets).toMatchObject([{ path, version: 2 }]);
  });
});
