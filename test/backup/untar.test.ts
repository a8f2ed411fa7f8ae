import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { writeArchive } from "../../src/backup/archive.ts";
import { type ArchiveEntry, readArchive } from "../../src/backup/untar.ts";
import { isGatehouseError, utf8 } from "../../src/core/index.ts";
import { times } from "../support/effort.ts";

const BLOCK = 512;

interface File {
  readonly name: string;
  readonly bytes: Uint8Array;
}

async function* entriesOf(files: readonly File[]): AsyncGenerator<ArchiveEntry> {
  for (const { name, bytes } of files) yield { name, sizeBytes: bytes.length, bytes: [bytes] };
}

async function joined(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(Buffer.concat(await collect(chunks)));
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function filesIn(archive: Uint8Array, pieceBytes = archive.length): Promise<readonly File[]> {
  const files: File[] = [];
  for await (const { name, bytes } of readArchive(inPieces(archive, Math.max(1, pieceBytes)))) {
    const pieces: Uint8Array[] = [];
    for await (const piece of bytes) pieces.push(new Uint8Array(piece));
    files.push({ name, bytes: new Uint8Array(Buffer.concat(pieces)) });
  }
  return files;
}

async function archiveOf(files: readonly File[]): Promise<Uint8Array> {
  return await joined(writeArchive(entriesOf(files), 0));
}

/** The code that reading ends with; undefined when it does not fail. */
async function refusal(archive: Uint8Array): Promise<string | undefined> {
  try {
    await filesIn(archive);
    return undefined;
  } catch (failure) {
    return isGatehouseError(failure) ? failure.code : `not a typed error: ${String(failure)}`;
  }
}

/** A header whose sum is right, with some fields of one's own. */
function header(fields: {
  readonly name?: string;
  readonly type?: string;
  readonly prefix?: string;
  readonly size?: string;
}): Uint8Array {
  const block = Buffer.alloc(BLOCK);
  block.write(fields.name ?? "a", 0, "latin1");
  block.write("0000600\0" + "0000000\0" + "0000000\0", 100, "latin1");
  block.write(fields.size ?? "00000000000 ", 124, "latin1");
  block.write("00000000000 ", 136, "latin1");
  block.write("        ", 148, "latin1");
  block.write(fields.type ?? "0", 156, "latin1");
  block.write("ustar\u000000", 257, "latin1");
  block.write(fields.prefix ?? "", 345, "latin1");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return new Uint8Array(block);
}

const END = new Uint8Array(2 * BLOCK);
const archived = (...blocks: readonly Uint8Array[]): Uint8Array =>
  new Uint8Array(Buffer.concat([...blocks, END]));

describe("an archive", () => {
  const file = fc.record({
    name: fc.stringMatching(/^[a-z]{1,8}\/[a-z0-9]{1,12}\.[a-z]{1,3}$/),
    bytes: fc.uint8Array({ maxLength: 1_500 }),
  });
  const files = fc.uniqueArray(file, { maxLength: 6, selector: ({ name }) => name });

  it("is read as it was written, however its bytes come", async () => {
    await fc.assert(
      fc.asyncProperty(files, fc.integer({ min: 1, max: 1_200 }), async (written, pieceBytes) => {
        expect(await filesIn(await archiveOf(written), pieceBytes)).toEqual(written);
      }),
      { numRuns: times({ short: 40, long: 500 }) },
    );
  });

  it("is refused when it ends early, wherever that is, or goes on behind its end", async () => {
    const whole = await archiveOf([{ name: "a/b", bytes: utf8("x".repeat(700)) }]);
    for (let size = 0; size < whole.length; size += 1) {
      expect([size, await refusal(whole.subarray(0, size))]).toEqual([size, "backup.damaged"]);
    }
    expect(await refusal(archived(whole))).toBe("backup.damaged");
    expect(await refusal(new Uint8Array(Buffer.concat([whole, Uint8Array.of(0)])))).toBe("backup.damaged");
  });

  it("is refused with any bit of a header changed", async () => {
    const whole = await archiveOf([{ name: "a/b", bytes: utf8("x") }]);
    for (let bit = 0; bit < BLOCK * 8; bit += 1) {
      const changed = new Uint8Array(whole);
      const offset = bit >> 3;
      changed.fill((whole[offset] ?? 0) ^ (1 << (bit & 7)), offset, offset + 1);
      expect([bit, await refusal(changed)]).toEqual([bit, "backup.damaged"]);
    }
  });

  it("holds plain files with plain names, each once, and nothing else", async () => {
    expect(await refusal(archived(header({ name: "home/identity/key" })))).toBeUndefined();
    const names = ["../a", "a/../b", "/a", "a//b", "./a", "a/.", "a\nb", "a\\b", "ä", " a", "a/"];
    for (const name of names)
      expect([name, await refusal(archived(header({ name })))]).toEqual([name, "backup.damaged"]);
    for (const type of ["1", "2", "3", "4", "5", "6", "7", "x", "g", "L", "\0"]) {
      expect([type, await refusal(archived(header({ type })))]).toEqual([type, "backup.damaged"]);
    }
    expect(await refusal(archived(header({ prefix: "home" })))).toBe("backup.damaged");
    expect(await refusal(archived(header({}), header({})))).toBe("backup.damaged");
    for (const size of ["77777777777 ", "-0000000001 ", "0000000000x ", "\x80\0\0\0\0\0\0\0\0\0\0\x01"]) {
      expect([size, await refusal(archived(header({ size })))]).toEqual([size, "backup.damaged"]);
    }
  });
});
