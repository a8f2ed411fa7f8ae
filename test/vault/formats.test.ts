import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { concat, utf8 } from "../../src/core/index.ts";
import { sha256 } from "../../src/crypto/index.ts";
import { gatehouse } from "../../src/gen/index.ts";
import { openVaultKeyring, parseSecretPath, type Vault } from "../../src/vault/index.ts";
import { encodeGroup, readSegment, SEGMENT_HEADER_BYTES } from "../../src/vault/journal-format.ts";
import { storageKeys } from "../../src/vault/storage-keys.ts";
import { givenKek } from "./store-world.ts";
import { event, put, read, VaultPlace } from "./support.ts";

const { StoredVersion } = gatehouse.v1;
const [JOURNAL, SNAPSHOT] = ["journal-0000000002", "snapshot-0000000002"];
const NEWER = {
  code: "vault.unknown-format",
  exitCode: 9,
  hint: "it was made by a newer gatehouse and nothing was changed; upgrade this one",
};
/** Of every file: its magic, then its format. */
const FORMAT_AT = 3;

/** A vault with a snapshot and a journal after it. */
async function filled(place: VaultPlace): Promise<void> {
  await using vault = await place.open();
  await put(vault, "a", "1");
  await put(vault, "a", "2");
  await vault.store.checkpoint();
  await put(vault, "b", "3");
}

async function contents(dir: string): Promise<Readonly<Record<string, string>>> {
  const names = await readdir(dir);
  const files = names.map(async (name) => [name, (await readFile(join(dir, name))).toString("hex")] as const);
  return Object.fromEntries(await Promise.all(files));
}

/** The file as a newer gatehouse would have written it. */
async function makeNewer(dir: string, name: string): Promise<void> {
  const bytes = new Uint8Array(await readFile(join(dir, name)));
  const newer = bytes.with(FORMAT_AT, 9);
  if (name === "header") {
    // Every format ends in the hash of all before it.
    newer.set(sha256(newer.subarray(0, newer.length - 32)), newer.length - 32);
  } else {
    newer[SEGMENT_HEADER_BYTES - 1] = (newer[SEGMENT_HEADER_BYTES - 1] ?? 0) ^ 1;
  }
  await writeFile(join(dir, name), newer);
}

describe("a file of a newer format", () => {
  it.each(["header", JOURNAL, SNAPSHOT])(
    "%s is refused by that name, and nothing is changed",
    async (name) => {
      await using place = await VaultPlace.make();
      await filled(place);
      await makeNewer(place.dir, name);
      const before = await contents(place.dir);
      const message = `format 9 of ${name} is not known to this gatehouse`;
      await expect(place.open()).rejects.toMatchObject({ ...NEWER, message });
      expect(await contents(place.dir)).toEqual(before);
    },
  );

  it.each(["header", JOURNAL, SNAPSHOT])("%s is damaged where its format alone was changed", async (name) => {
    await using place = await VaultPlace.make();
    await filled(place);
    const path = join(place.dir, name);
    const bytes = await readFile(path);
    for (const format of [0, 2, 3, 255].filter((each) => each !== bytes[FORMAT_AT])) {
      await writeFile(path, bytes.with(FORMAT_AT, format));
      await expect(place.open()).rejects.toMatchObject({ code: "vault.damaged" });
    }
  });

  it("is a segment with whole groups that hold what is not known here", async () => {
    await using place = await VaultPlace.make();
    await filled(place);
    const path = join(place.dir, JOURNAL);
    const bytes = new Uint8Array(await readFile(path));
    const keys = storageKeys(await openVaultKeyring(place.dir, place.kek, { random: place.random }));
    const { end } = readSegment({ keys, path, number: 2, bytes, before: undefined, visit: () => undefined });
    const { sizeBytes: offset, position } = end;
    const statement = concat(
      Uint8Array.of(5),
      utf8("touch"),
      Uint8Array.of(6),
      utf8("secret"),
      Uint8Array.of(0, 1, 0x61),
    );
    const transaction = { sequence: position.sequence + 1, changes: [], events: [] };
    const group = encodeGroup(
      keys,
      { number: 2, offset, chain: position.chain },
      [{ transaction, statements: concat(Uint8Array.of(0, 1), statement, Uint8Array.of(0, 0)) }],
      place.random,
    );
    await writeFile(path, concat(bytes, group.bytes));
    const message = `what a group at offset ${offset} of ${JOURNAL} holds is not known to this gatehouse`;
    await expect(place.open()).rejects.toMatchObject({ ...NEWER, message });
  });
});

/** Changes a sealed part of version 1 of `a`, as a newer gatehouse would have sealed it. */
async function changeRecord(vault: Vault, part: "wrappedKey" | "sealedValue", at: number): Promise<void> {
  const key = "a#0000000000000001";
  const stored = StoredVersion.decode(vault.store.get("version", key)?.body ?? new Uint8Array());
  stored[part] = new Uint8Array(stored[part]).with(at, 9);
  const body = StoredVersion.encode(stored).finish();
  const changes = [{ kind: "put" as const, space: "version" as const, key, body }];
  await vault.store.transact(["a"], () => ({ changes, events: [], result: undefined }));
}

describe("a secret's record of a newer format", () => {
  it.each([
    ["wrappedKey", FORMAT_AT, "format 9"],
    ["wrappedKey", FORMAT_AT + 1, "suite 9"],
    ["sealedValue", FORMAT_AT, "format 9"],
    ["sealedValue", FORMAT_AT + 1, "suite 9"],
  ] as const)("%s, changed at %i, is refused when it is read, and others are not", async (part, at, what) => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await put(vault, "a", "1");
    await put(vault, "b", "2");
    await changeRecord(vault, part, at);
    const message = `${what} of a secret's record is not known to this gatehouse`;
    await expect(vault.secrets.get(parseSecretPath("a"))).rejects.toMatchObject({ ...NEWER, message });
    using capture = await vault.capture({ provider: givenKek, mark: () => Promise.resolve() });
    expect(() => [...capture.versions()]).toThrow(message);
    expect(await read(vault, "b")).toBe("2");
  });

  it("keeps a rotation from ending, and so the key that opens it", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await put(vault, "a", "1");
    await changeRecord(vault, "wrappedKey", FORMAT_AT);
    await vault.rotation.begin("kek", { ended: () => utf8("ended") }, event());
    await vault.rotation.finished();
    expect(vault.rotation.progress?.state).toBe("waiting");
    const { keks } = await openVaultKeyring(place.dir, place.kek, { random: place.random });
    expect(keks.map(({ term }) => term)).toEqual([1, 2]);
  });
});
