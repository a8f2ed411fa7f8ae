import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/core/index.ts";
import {
  commandProvider,
  type KeyProvider,
  passphraseProvider,
  systemdCredentialProvider,
} from "../../src/keystore/index.ts";
import { treeDigest } from "../support/tree-digest.ts";
import { put, read, VaultPlace } from "./support.ts";

const KEY = new Uint8Array(32).fill(0x5a);

describe("a vault", () => {
  it("opens with the passphrase that it was made with; with another it stays shut and unchanged", async () => {
    await using place = await VaultPlace.make();
    const says = (text: string): KeyProvider =>
      passphraseProvider({ random: place.random, ask: async () => utf8(text) });
    await storeOne(place, says("correct horse battery"));
    const before = await treeDigest(place.dir);
    await expect(place.open({ kek: says("incorrect horse") })).rejects.toMatchObject({
      ...{ code: "vault.wrong-key", exitCode: 8 },
    });
    expect(await treeDigest(place.dir)).toEqual(before);
    await using vault = await place.open({ kek: says("correct horse battery") });
    expect(await read(vault, "a/b")).toBe("value");
  });

  it("opens with the key that a command gives, and says of itself what is wrong with it", async () => {
    await using place = await VaultPlace.make();
    const program = join(place.root, "program");
    const answers = async (line: string): Promise<KeyProvider> => {
      await writeFile(program, `#!/bin/sh\n${line}\n`);
      await chmod(program, 0o700);
      return commandProvider({ command: [program] });
    };
    await storeOne(place, await answers(`echo ${Buffer.from(KEY).toString("hex")}`));
    const failures = [
      ["exit 1", "vault.key-missing", "the key command ended with exit code 1"],
      ["echo nonsense", "vault.wrong-key", "what the key command wrote is not a key"],
      [`echo ${"00".repeat(32)}`, "vault.wrong-key", "the key does not open this vault"],
    ] as const;
    for (const [line, code, message] of failures) {
      const kek = await answers(line);
      await expect(place.open({ kek })).rejects.toMatchObject({
        ...{ code, message, exitCode: 8, hint: expect.any(String) },
      });
    }
    await using vault = await place.open({ kek: await answers(`printf '${"Z".repeat(32)}'`) });
    expect(await read(vault, "a/b")).toBe("value");
  });

  it("opens with a systemd credential", async () => {
    await using place = await VaultPlace.make();
    await writeFile(join(place.root, "gatehouse.kek"), KEY);
    const kek = systemdCredentialProvider({ credentialsDir: place.root });
    await storeOne(place, kek);
    await using vault = await place.open({ kek });
    expect(await read(vault, "a/b")).toBe("value");
    const absent = systemdCredentialProvider({ credentialsDir: undefined });
    await expect(place.open({ kek: absent })).rejects.toMatchObject({ code: "vault.key-missing" });
  });
});

async function storeOne(place: VaultPlace, kek: KeyProvider): Promise<void> {
  await using vault = await place.open({ kek });
  await put(vault, "a/b", "value");
}
