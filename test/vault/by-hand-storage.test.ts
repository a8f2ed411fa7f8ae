/** docs/storage.md, step by step, by node:crypto alone: a journal and a snapshot, from the key file to the bytes that were put. */
import { createHash, createHmac } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import initSqlJs from "sql.js";
import { beforeAll, describe, expect, it } from "vitest";
import { hkdf, keyringIn, opened, slotsOf, u32 } from "./by-hand.ts";
import { plan, put as putChange } from "./conformance-support.ts";
import { openSqlStore } from "./sql-world.ts";
import { DiskWorld } from "./store-world.ts";
import { put, VaultPlace } from "./support.ts";

const LABEL = "gatehouse/v1/vault/";

const sha256 = (...parts: readonly Uint8Array[]): Buffer =>
  createHash("sha256").update(Buffer.concat(parts)).digest();

const hmac = (key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer =>
  createHmac("sha256", key).update(Buffer.concat(parts)).digest();

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

interface Files {
  readonly id: Buffer;
  readonly root: Buffer;
  readonly header: Buffer;
  readonly snapshot: Buffer;
  readonly journal: Buffer;
}

/** A vault with one put in its snapshot and two in the journal after it, and its storage root from the key file. */
async function filesOf(place: VaultPlace): Promise<Files> {
  {
    await using vault = await place.open();
    await put(vault, "first", "in the snapshot");
    await vault.store.checkpoint();
    await put(vault, "second", "in the journal");
    await put(vault, "third", "there too");
  }
  expect((await readdir(place.dir)).sort()).toEqual(["header", "journal-0000000002", "snapshot-0000000002"]);
  const [header, journal, snapshot] = await Promise.all(
    ["header", "journal-0000000002", "snapshot-0000000002"].map((name) => readFile(join(place.dir, name))),
  );
  if (header === undefined || journal === undefined || snapshot === undefined) throw new Error("no files");
  const id = header.subarray(4, 20);
  const provided = (await readFile(join(place.keys, `${id.toString("hex")}.kek`))).subarray(23, 55);
  const [slot] = slotsOf(header);
  if (slot === undefined) throw new Error("no slot");
  const keyring = keyringIn(slot, { provided, id, head: header.subarray(0, 28) });
  const terms = keyring.readUInt16BE(0);
  return { id, root: keyring.subarray(2 + 36 * terms, 2 + 36 * terms + 32), header, snapshot, journal };
}

let files: Files;
const derived = (name: string): Buffer => hkdf(files.root, files.id, `${LABEL}${name}/derived`, 32);

beforeAll(async () => {
  await using place = await VaultPlace.make();
  files = await filesOf(place);
});

describe("the documented steps", () => {
  it("prove the header, by its hash and by its seal", () => {
    const { header } = files;
    expect(header.subarray(-32)).toEqual(sha256(header.subarray(0, -32)));
    expect(header.subarray(-64, -32)).toEqual(hmac(derived("header"), header.subarray(0, -64)));
  });

  it("open every group of a journal segment, to its last byte", () => {
    const { journal, id } = files;
    expect(journal.subarray(0, 4).toString("latin1")).toBe("GHJ\x01");
    expect(journal.subarray(4, 20)).toEqual(id);
    expect([20, 28, 36].map((offset) => Number(journal.readBigUInt64BE(offset)))).toEqual([2, 1, 1]);
    expect(journal.subarray(76, 108)).toEqual(hmac(derived("journal-segment"), journal.subarray(0, 76)));
    let chain: Buffer = journal.subarray(44, 76);
    const transactions: string[] = [];
    let offset = 108;
    while (offset < journal.length) {
      const fields = journal.subarray(offset, offset + 16);
      const proof = hmac(derived("journal-group"), u64(2), u64(offset), chain, fields);
      expect(journal.subarray(offset + 16, offset + 48)).toEqual(proof);
      const header = journal.subarray(offset, offset + 48);
      const end = offset + 48 + fields.readUInt32BE(0);
      const sealed = journal.subarray(offset + 48, end);
      const plaintext = opened(sealed, {
        key: derived("journal"),
        label: `${LABEL}journal`,
        header,
        binding: chain,
      });
      expect(plaintext.readUInt32BE(0)).toBe(plaintext.length - 4);
      expect(plaintext.readBigUInt64BE(4)).toBe(fields.readBigUInt64BE(8));
      // First statement: name, space, key.
      const statement = plaintext.subarray(14);
      const [name, space] = [statement.subarray(1, 4), statement.subarray(5, 5 + statement.readUInt8(4))];
      const rest = statement.subarray(5 + space.length);
      const key = rest.subarray(2, 2 + rest.readUInt16BE(0));
      transactions.push([name, space, key].map((part) => part.toString("latin1")).join(" "));
      chain = sha256(chain, journal.subarray(offset, end));
      offset = end;
    }
    expect(offset).toBe(journal.length);
    expect(transactions).toEqual(["put secret second", "put secret third"]);
  });

  it("open every chunk of a snapshot: a database of SQLite", async () => {
    const { snapshot, id } = files;
    const header = snapshot.subarray(0, 84);
    expect(header.subarray(0, 4).toString("latin1")).toBe("GHS\x01");
    expect(header.subarray(4, 20)).toEqual(id);
    expect([20, 28, 36].map((offset) => Number(header.readBigUInt64BE(offset)))).toEqual([2, 1, 1]);
    expect(header.subarray(44, 76)).toEqual(files.journal.subarray(44, 76));
    const size = Number(header.readBigUInt64BE(76));
    const count = Math.ceil(size / 65_536);
    let offset = 84;
    const chunks = Array.from({ length: count }, (_, index) => {
      const isLast = index === count - 1;
      const end = offset + 80 + (isLast ? size - index * 65_536 : 65_536);
      const sealed = snapshot.subarray(offset, end);
      offset = end;
      const binding = Buffer.concat([u32(index), Buffer.of(isLast ? 1 : 0)]);
      return opened(sealed, { key: derived("snapshot"), label: `${LABEL}snapshot`, header, binding });
    });
    expect(offset).toBe(snapshot.length);
    const image = Buffer.concat(chunks);
    expect(image).toHaveLength(size);
    expect(image.subarray(0, 16).toString("latin1")).toBe("SQLite format 3\0");
    const { Database } = await initSqlJs();
    const database = new Database(image);
    const [answer] = database.exec("SELECT space, key, revision FROM record ORDER BY space, key");
    database.close();
    expect(answer?.values).toEqual([
      ["secret", "first", 1],
      ["version", "first#0000000000000001", 1],
    ]);
  });
});

/** Files by their short names, as docs/storage.md lists them. */
function shortNames(contents: ReadonlyMap<string, Uint8Array>): string {
  const names = [...contents.keys()].map((path) => path.replace(`${DiskWorld.DIR}/`, "").replace(/0{9}/, ""));
  return names.sort().join(" ");
}

describe("the documented states", () => {
  it("are those that follow one another on the disk, and each opens with all that was acknowledged", async () => {
    const world = new DiskWorld(openSqlStore);
    const seen: {
      readonly names: string;
      readonly left: ReturnType<DiskWorld["afterPowerLoss"]>;
      readonly kept: number;
    }[] = [];
    let kept = 0;
    let isDone = false;
    const life = async (): Promise<void> => {
      await using store = await world.open();
      for (const key of ["a", "b"]) {
        await store.transact([key], plan([putChange(key, "1")], "event"));
        kept += 1;
        await store.checkpoint();
      }
    };
    const living = life().finally(() => {
      isDone = true;
    });
    const look = (): void => {
      for (const unsynced of ["gone", "half", "there"] as const) {
        const left = world.afterPowerLoss(unsynced);
        seen.push({ names: shortNames(left.contents), left, kept });
      }
    };
    while (!isDone) {
      look();
      await setImmediate();
    }
    await living;
    look();
    const states = seen.map(({ names }) => names);
    const inOrder = states.filter(
      (names, index) => names !== states[index - 1] && states.indexOf(names) === index,
    );
    expect(inOrder).toEqual([
      "",
      "journal-1",
      "header journal-1",
      "header journal-1 journal-2",
      "header journal-1 journal-2 snapshot-2",
      "header journal-2 snapshot-2",
      "header journal-2 journal-3 snapshot-2",
      "header journal-2 journal-3 snapshot-2 snapshot-3",
      "header journal-2 journal-3 snapshot-3",
      "header journal-3 snapshot-3",
    ]);
    for (const { left, kept: acknowledged } of seen) {
      await using store = await left.open();
      expect(store.sequence).toBeGreaterThanOrEqual(acknowledged);
      expect(shortNames(left.contents)).toMatch(/^header (journal-\d ?)+(snapshot-\d)?$/);
    }
  });
});
