import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { systemRandom, utf8 } from "../../src/core/index.ts";
import {
  generateRecoveryKey,
  type KeyProvider,
  passphraseProvider,
  recoveryProvider,
  recoveryRecipient,
} from "../../src/keystore/index.ts";
import { keyFileProvider, openVaultKeyring, vaultKeyKinds, vaultKeySlots } from "../../src/vault/index.ts";
import { openKeyring, sealKeyring } from "../../src/vault/keyring.ts";
import { freshKek } from "../../src/vault/keyring-format.ts";
import { put, read, VaultPlace } from "./support.ts";

interface Recovery {
  readonly maker: KeyProvider;
  readonly opener: KeyProvider;
}

function recoveryOf({ random }: VaultPlace): Recovery {
  const { text, recipient } = generateRecoveryKey(random);
  const opener = recoveryProvider({ ask: async () => text.use((bytes) => new Uint8Array(bytes)) });
  return { maker: recoveryRecipient({ recipient, random }), opener };
}

const keyringOf = (place: VaultPlace, kek: KeyProvider = place.kek) =>
  openVaultKeyring(place.dir, kek, { random: place.random });

const keyFileAt = ({ root, random }: VaultPlace, name: string): KeyProvider =>
  keyFileProvider({ path: join(root, name), random });

async function withOneSecret(place: VaultPlace, recovery?: KeyProvider): Promise<void> {
  await using vault = await place.open();
  if (recovery !== undefined) await vault.keys.addSlot(recovery, 1);
  await put(vault, "a/b", "value");
}

async function opensWith(place: VaultPlace, kek: KeyProvider): Promise<string> {
  await using vault = await place.open({ kek });
  return await read(vault, "a/b");
}

describe("a vault with a recovery key", () => {
  it("opens with it alone, and with no other recovery key", async () => {
    await using place = await VaultPlace.make();
    const { maker, opener } = recoveryOf(place);
    await withOneSecret(place, maker);
    expect(await opensWith(place, opener)).toBe("value");
    expect(await opensWith(place, place.kek)).toBe("value");
    await expect(place.open({ kek: recoveryOf(place).opener })).rejects.toMatchObject({
      ...{ code: "vault.wrong-key", exitCode: 8 },
    });
  });

  it("tells its recipient, and is not asked for it in daily use", async () => {
    await using place = await VaultPlace.make();
    await withOneSecret(place, recoveryOf(place).maker);
    expect(await vaultKeyKinds(place.dir)).toEqual(["key-file"]);
    expect(await vaultKeySlots(place.dir)).toMatchObject([
      { number: 1, kind: "key-file", recipient: undefined },
      { number: 2, kind: "recovery", recipient: expect.stringMatching(/^age1/) },
    ]);
  });
});

describe("keys of a vault", () => {
  it("open it each by itself, those of one kind as well", async () => {
    await using place = await VaultPlace.make();
    await withOneSecret(place);
    const second = keyFileAt(place, "second.kek");
    const says = (text: string) => passphraseProvider({ random: place.random, ask: async () => utf8(text) });
    const keyring = await keyringOf(place);
    expect(await keyring.addSlot(second, 5)).toMatchObject({ number: 2, kind: "key-file", createdAt: 5 });
    await keyring.addSlot(says("correct horse battery"), 6);
    for (const kek of [place.kek, second, says("correct horse battery")]) {
      expect(await opensWith(place, kek)).toBe("value");
    }
  });

  it("stay good when another one changes the header: nobody is asked", async () => {
    await using place = await VaultPlace.make();
    const { maker, opener } = recoveryOf(place);
    await withOneSecret(place, maker);
    const keyring = await keyringOf(place);
    await keyring.addTerm();
    await keyring.addSlot(keyFileAt(place, "second.kek"), 5);
    await keyring.removeSlot(1);
    expect((await keyringOf(place, opener)).keks.map(({ term }) => term)).toEqual([1, 2]);
    expect(await opensWith(place, opener)).toBe("value");
    expect(await opensWith(place, keyFileAt(place, "second.kek"))).toBe("value");
  });

  it("open nothing any more once removed", async () => {
    await using place = await VaultPlace.make();
    await withOneSecret(place);
    const keyring = await keyringOf(place);
    await keyring.addSlot(keyFileAt(place, "second.kek"), 5);
    await keyring.removeSlot(1);
    await expect(place.open()).rejects.toMatchObject({ exitCode: 8 });
    expect(await opensWith(place, keyFileAt(place, "second.kek"))).toBe("value");
  });

  it("open no keyring that was sealed to them by somebody who does not know the vault's root", async () => {
    await using place = await VaultPlace.make();
    await withOneSecret(place);
    const path = join(place.dir, "header");
    const own = await openKeyring(path, await readFile(path), place.kek);
    const contents = { keks: [freshKek(1, systemRandom)], root: freshKek(1, systemRandom).key };
    await writeFile(path, sealKeyring({ ...own, contents }, place.random));
    await expect(place.open()).rejects.toMatchObject({ code: "vault.damaged" });
    await writeFile(path, sealKeyring(own, place.random));
    expect(await opensWith(place, place.kek)).toBe("value");
  });

  it("never go all: the last one beside recovery keys stays", async () => {
    await using place = await VaultPlace.make();
    await withOneSecret(place, recoveryOf(place).maker);
    const keyring = await keyringOf(place);
    for (const number of [1, 9]) {
      await expect(keyring.removeSlot(number)).rejects.toMatchObject({
        code: "vault.key-slots",
        exitCode: 7,
      });
    }
    await keyring.removeSlot(2);
    expect(keyring.slots.map(({ number }) => number)).toEqual([1]);
  });

  it("are eight at most", async () => {
    await using place = await VaultPlace.make();
    await withOneSecret(place);
    const keyring = await keyringOf(place);
    for (let count = 1; count < 8; count += 1) await keyring.addSlot(recoveryOf(place).maker, count);
    await expect(keyring.addSlot(recoveryOf(place).maker, 9)).rejects.toMatchObject({
      code: "vault.key-slots",
    });
  });

  it("are changed on disk first: what could not be written has not happened", async () => {
    await using place = await VaultPlace.make();
    await withOneSecret(place);
    const before = await readFile(join(place.dir, "header"));
    const keyring = await keyringOf(place);
    await expect(keyring.addSlot(place.kek, 1)).rejects.toMatchObject({ code: "file.exists" });
    expect(keyring.slots).toHaveLength(1);
    expect(await readFile(join(place.dir, "header"))).toEqual(before);
  });
});

describe("a header with several keys", () => {
  it("is not believed with one bit flipped, at any offset, nor cut or longer", async () => {
    await using place = await VaultPlace.make();
    const { maker, opener } = recoveryOf(place);
    await withOneSecret(place, maker);
    const path = join(place.dir, "header");
    const file = await readFile(path);
    const isRefused = async (changed: Uint8Array): Promise<void> => {
      await writeFile(path, changed);
      for (const kek of [place.kek, opener]) {
        await expect(keyringOf(place, kek)).rejects.toMatchObject({ code: "vault.damaged" });
      }
    };
    for (let offset = 0; offset < file.length; offset += 1) {
      await isRefused(file.map((byte, index) => (index === offset ? byte ^ 4 : byte)));
    }
    for (let length = 0; length < file.length; length += 7) await isRefused(file.subarray(0, length));
    await isRefused(Buffer.concat([file, Buffer.of(0)]));
  });
});
