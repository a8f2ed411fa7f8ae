/**
 * Reads the one kind of tar that backups are (POSIX ustar, IEEE 1003.1-2017 pax, "ustar Interchange Format"): plain files
 * with short names. Whoever knows a recipient can make a backup, so everything else is refused: links, devices, folders,
 * extensions, names that lead elsewhere, names that come twice, and anything behind the end.
 *
 * | bytes | field |
 * | --- | --- |
 * | 100 | name, then zeros |
 * | 24 | mode, owner, group: not looked at |
 * | 12 | size, 11 octal digits and a blank or zero |
 * | 12 | time: not looked at |
 * | 8 | sum of the header's bytes with this field as blanks: 6 octal digits, and zero and blank in either order |
 * | 1 | `0`, a file |
 * | 100 | link's name: zeros |
 * | 8 | `ustar`, zero, `00` |
 * | 80 | names and numbers: not looked at |
 * | 167 | prefix of the name, and filling: zeros |
 *
 * The file's bytes follow, filled up with zeros to blocks of 512; two blocks of zeros are the end.
 */
import { GatehouseError } from "../core/index.ts";

/** One file of the archive; `bytes` are borrowed until the next one is asked for. */
export interface ArchiveEntry {
  /** Relative, with `/`. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

const BLOCK_BYTES = 512;
/** A thousand times a large gatehouse's; names are kept until the manifest is there. */
const ENTRIES_MAX = 100_000;
const NAME_MAX = 100;
/** Of a path inside: longer ones would need extensions that not every reader has. */
const NAME = /^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/;

/** The files of a tar, one after the other, each to be read to its end. @throws GatehouseError `backup.damaged` */
export async function* readArchive(
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<ArchiveEntry, void, void> {
  const source = new Source(bytes);
  try {
    const names = new Set<string>();
    for (;;) {
      const block = await source.exactly(BLOCK_BYTES);
      if (isZero(block)) break;
      const header = parseHeader(block);
      if (names.has(header.name) || names.size >= ENTRIES_MAX) throw notOurs();
      names.add(header.name);
      yield { ...header, bytes: source.upTo(header.sizeBytes) };
      if (!source.isAtEnd) throw new RangeError("untar: the entry before was not read to its end");
      await source.exactly(-header.sizeBytes & (BLOCK_BYTES - 1));
    }
    if (!isZero(await source.exactly(BLOCK_BYTES)) || (await source.next()) !== undefined) throw notOurs();
  } finally {
    await source.close();
  }
}

/** Whether a file of this name can be in a backup. */
export function isEntryName(name: string): boolean {
  const isPlain = name.length <= NAME_MAX && NAME.test(name);
  return isPlain && !name.split("/").some((part) => part === "." || part === "..");
}

export function notOurs(): GatehouseError<"backup.damaged"> {
  return new GatehouseError("backup.damaged", "the backup holds something that no backup holds", {
    hint: "nothing was changed; take another copy of the file, or an earlier backup",
  });
}

function parseHeader(block: Uint8Array): { readonly name: string; readonly sizeBytes: number } {
  const field = (start: number, end: number): string =>
    Buffer.from(block.subarray(start, end)).toString("latin1");
  const [, size = ""] = /^([0-7]{11})[ \0]$/.exec(field(124, 136)) ?? [];
  const [, sum = ""] = /^([0-7]{6})(?:\0 | \0)$/.exec(field(148, 156)) ?? [];
  const isFile = field(156, 157) === "0" && field(257, 265) === "ustar\u000000";
  const hasNothingElse = isZero(block.subarray(157, 257)) && isZero(block.subarray(345));
  const [, name = ""] = /^([^\0]+)\0*$/.exec(field(0, NAME_MAX)) ?? [];
  if (size === "" || parseInt(sum, 8) !== sumOf(block) || !isFile || !hasNothingElse) throw notOurs();
  if (!isEntryName(name)) throw notOurs();
  return { name, sizeBytes: parseInt(size, 8) };
}

function sumOf(block: Uint8Array): number {
  return block.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 0x20 : byte), 0);
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** Bytes as they are asked for, however they come. */
class Source {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array();
  /** Of the entry being read. */
  #left = 0;

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#iterator = bytes[Symbol.asyncIterator]();
  }

  get isAtEnd(): boolean {
    return this.#left === 0;
  }

  /** What is there, at least a byte; undefined at the end. */
  async next(): Promise<Uint8Array | undefined> {
    while (this.#held.length === 0) {
      const { done, value } = await this.#iterator.next();
      if (done === true) return undefined;
      this.#held = value;
    }
    const all = this.#held;
    this.#held = new Uint8Array();
    return all;
  }

  /** A few bytes, the caller's own. */
  async exactly(count: number): Promise<Uint8Array> {
    const wanted = new Uint8Array(count);
    let offset = 0;
    for await (const chunk of this.upTo(count)) {
      wanted.set(chunk, offset);
      offset += chunk.length;
    }
    return wanted;
  }

  /** All the next `count` bytes, as they come. */
  async *upTo(count: number): AsyncGenerator<Uint8Array, void, void> {
    this.#left = count;
    while (this.#left > 0) {
      const chunk = await this.next();
      if (chunk === undefined) throw endsEarly();
      const taken = chunk.subarray(0, this.#left);
      this.#held = chunk.subarray(taken.length);
      this.#left -= taken.length;
      yield taken;
    }
  }

  async close(): Promise<void> {
    await this.#iterator.return?.();
  }
}

function endsEarly(): GatehouseError<"backup.damaged"> {
  return new GatehouseError("backup.damaged", "the backup is damaged: it ends early", {
    hint: "nothing was changed; take another copy of the file, or an earlier backup",
  });
}
