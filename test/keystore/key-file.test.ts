import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { systemRandom } from "../../src/core/index.ts";
import { keyFileProvider } from "../../src/keystore/index.ts";
import { ID, keyHex, Place } from "./support.ts";

describe("a key file", () => {
  it("gives the key that it was made with, under its id in a folder made for it", async () => {
    await using place = await Place.make();
    const provider = keyFileProvider({ dir: place.path("a/keys"), random: systemRandom });
    for (const id of [ID, "identity-of-a-phone"]) {
      const { key, parameters } = await provider.create(id);
      expect(keyHex(await provider.load(id, parameters))).toBe(keyHex(key));
      expect((await stat(place.path(`a/keys/${id}.kek`))).mode & 0o777).toBe(0o600);
    }
    expect((await stat(place.path("a/keys"))).mode & 0o777).toBe(0o700);
  });

  it("is never replaced", async () => {
    await using place = await Place.make();
    const provider = keyFileProvider({ path: place.path("mine.kek"), random: systemRandom });
    await provider.create(ID);
    const before = await readFile(place.path("mine.kek"));
    await expect(provider.create("another")).rejects.toMatchObject({ code: "file.exists" });
    expect(await readFile(place.path("mine.kek"))).toEqual(before);
  });

  it("that is missing, of another id, or open to others is told apart", async () => {
    await using place = await Place.make();
    const provider = keyFileProvider({ path: place.path("mine.kek"), random: systemRandom });
    const none = new Uint8Array();
    await expect(provider.load(ID, none)).rejects.toMatchObject({ code: "key.missing", exitCode: 8 });
    await provider.create(ID);
    await expect(provider.load("other", none)).rejects.toMatchObject({ code: "key.wrong", exitCode: 8 });
    await chmod(place.path("mine.kek"), 0o640);
    await expect(provider.load(ID, none)).rejects.toMatchObject({ code: "home.bad-permissions" });
  });

  it("is found out with any byte changed, cut anywhere, or with bytes added", async () => {
    await using place = await Place.make();
    const path = place.path("mine.kek");
    const provider = keyFileProvider({ path, random: systemRandom });
    await provider.create("some-name");
    const good = new Uint8Array(await readFile(path));
    const bad = [
      ...Array.from(good, (byte, at) => Uint8Array.from(good).fill(byte ^ 0x10, at, at + 1)),
      ...Array.from(good, (_, size) => good.subarray(0, size)),
      Buffer.concat([good, Buffer.of(0)]),
    ];
    for (const bytes of bad) {
      await writeFile(path, bytes);
      await expect(provider.load("some-name", new Uint8Array())).rejects.toMatchObject({
        code: "file.damaged",
      });
    }
  });

  it("has no names that lead out of its folder", async () => {
    await using place = await Place.make();
    const provider = keyFileProvider({ dir: place.root, random: systemRandom });
    for (const id of ["", "../up", "a/b", "A", "a".repeat(65), "a\n"]) {
      await expect(provider.create(id)).rejects.toThrow(RangeError);
      await expect(provider.load(id, new Uint8Array())).rejects.toThrow(RangeError);
    }
  });
});
