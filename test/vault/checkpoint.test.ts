import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { generateRecoveryKey, recoveryRecipient } from "../../src/keystore/index.ts";
import { localCheckpointer, parseSecretPath, systemFiles, Vault } from "../../src/vault/index.ts";
import { event, put, VaultPlace } from "./support.ts";

describe("a checkpoint on demand", () => {
  let place: VaultPlace;
  beforeEach(async () => {
    place = await VaultPlace.make();
  });
  afterEach(async () => {
    await place[Symbol.asyncDispose]();
  });

  it("leaves one snapshot and one empty segment, and loses nothing", async () => {
    await using vault = await Vault.openOrCreate(place.options());
    for (let index = 0; index < 20; index += 1) await put(vault, `a/${index}`, `value ${index}`);
    await vault.store.checkpoint();
    const names = (await readdir(place.dir)).filter((name) => name !== "header").sort();
    expect(names).toEqual(["journal-0000000002", "snapshot-0000000002"]);
    await put(vault, "a/after", "later");
    await vault[Symbol.asyncDispose]();
    await using again = await Vault.open(place.options());
    expect(again.report.replayed).toBe(1);
    expect((await again.secrets.list({ limit: 100 })).secrets).toHaveLength(21);
  });

  it("is shared by calls side by side and covers what was durable at each call", async () => {
    await using vault = await Vault.openOrCreate(place.options());
    await put(vault, "a", "1");
    const first = vault.store.checkpoint();
    const written = put(vault, "b", "2").then(() => vault.store.checkpoint());
    await Promise.all([first, vault.store.checkpoint(), vault.store.checkpoint(), written]);
    const snapshots = (await readdir(place.dir)).filter((name) => name.startsWith("snapshot-"));
    expect(snapshots).toHaveLength(1);
    await vault[Symbol.asyncDispose]();
    await using again = await Vault.open(place.options());
    expect(again.report.replayed).toBe(0);
    expect((await again.secrets.list({ limit: 10 })).secrets.map(({ path }) => path)).toEqual(["a", "b"]);
  });

  it("fails clearly when the disk does, and the next one succeeds and removes what the first could not", async () => {
    let isFailing = false;
    const files = {
      ...systemFiles,
      remove: async (path: string) => {
        if (isFailing && path.includes("snapshot-")) throw new Error("the disk is in a mood");
        await systemFiles.remove(path);
      },
    };
    await using vault = await Vault.openOrCreate(place.options({ files }));
    await put(vault, "a", "1");
    await vault.store.checkpoint();
    isFailing = true;
    await expect(vault.store.checkpoint()).rejects.toMatchObject({ code: "vault.checkpoint-failed" });
    await put(vault, "b", "2");
    isFailing = false;
    await vault.store.checkpoint();
    const snapshots = (await readdir(place.dir)).filter((name) => name.startsWith("snapshot-"));
    expect(snapshots).toHaveLength(1);
    expect((await readFile(join(place.dir, snapshots[0] ?? ""))).length).toBeGreaterThan(0);
  });

  it("that was made for a backup which could not use it does not outlive what is destroyed later", async () => {
    let isFailing = false;
    const files = {
      ...systemFiles,
      read: async (path: string) => {
        if (isFailing && path.includes("snapshot-0000000002")) throw new Error("too many open files");
        return await systemFiles.read(path);
      },
    };
    await using vault = await Vault.openOrCreate(place.options({ files, checkpointer: localCheckpointer() }));
    await put(vault, "a", "destroyed later");
    isFailing = true;
    const { random } = place;
    const provider = recoveryRecipient({ recipient: generateRecoveryKey(random).recipient, random });
    const capture = vault.capture({ provider, mark: () => Promise.resolve() });
    await expect(capture).rejects.toMatchObject({ code: "vault.checkpoint-failed" });
    isFailing = false;
    await vault.secrets.destroy({ path: parseSecretPath("a") }, event());
    const snapshots = (await readdir(place.dir)).filter((name) => name.startsWith("snapshot-"));
    expect(snapshots).toEqual(["snapshot-0000000003"]);
  });

  it("is refused by a vault that is closing", async () => {
    const vault = await Vault.openOrCreate(place.options());
    await vault[Symbol.asyncDispose]();
    await expect(vault.store.checkpoint()).rejects.toMatchObject({ code: "rpc.draining" });
  });
});
