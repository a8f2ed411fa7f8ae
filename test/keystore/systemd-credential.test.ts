import { describe, expect, it } from "vitest";
import { systemdCredentialProvider } from "../../src/keystore/index.ts";
import { ID, KEY, KEY_HEX, keyHex, Place } from "./support.ts";

const NONE = new Uint8Array();

describe("a systemd credential", () => {
  it.each([
    ["raw bytes", KEY],
    ["hex digits", KEY_HEX],
    ["hex digits in a line", `${KEY_HEX.toUpperCase()}\n`],
    ["base64", Buffer.from(KEY).toString("base64")],
  ])("is a key as %s, for every id", async (_, content) => {
    await using place = await Place.make();
    await place.write("gatehouse.kek", content);
    const provider = systemdCredentialProvider({ credentialsDir: place.root });
    expect(keyHex((await provider.create(ID)).key)).toBe(KEY_HEX);
    expect(keyHex(await provider.load("another", NONE))).toBe(KEY_HEX);
  });

  it("must be there already, even for a new vault", async () => {
    await using place = await Place.make();
    for (const credentialsDir of [place.root, place.path("none"), undefined]) {
      const provider = systemdCredentialProvider({ credentialsDir });
      for (const work of [() => provider.create(ID), () => provider.load(ID, NONE)]) {
        await expect(work()).rejects.toMatchObject({
          ...{ code: "key.missing", exitCode: 8 },
          hint: expect.stringContaining("LoadCredentialEncrypted=gatehouse.kek"),
        });
      }
    }
  });

  it("of any other length or alphabet is no key", async () => {
    await using place = await Place.make();
    const provider = systemdCredentialProvider({ credentialsDir: place.root });
    const base64 = Buffer.from(KEY).toString("base64");
    const bad = [
      ...Array.from({ length: 80 }, (_, size) => KEY_HEX.repeat(2).slice(0, size)).filter(
        (text) => ![32, 64].includes(text.length),
      ),
      `${KEY_HEX.slice(0, -1)}g`,
      `${KEY_HEX}\n\n`,
      ` ${KEY_HEX}`,
      `${base64.slice(0, -1)}A`,
      // The last digit's unused bits are set.
      `${"A".repeat(42)}B=`,
      `${base64.slice(0, 20)}-${base64.slice(21)}`,
      "x".repeat(1_000_000),
    ];
    for (const content of bad) {
      await place.write("gatehouse.kek", content);
      await expect(provider.load(ID, NONE)).rejects.toMatchObject({
        ...{ code: "key.wrong", message: "the credential gatehouse.kek is not a key" },
      });
    }
  });
});
