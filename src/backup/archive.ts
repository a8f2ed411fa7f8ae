import { once } from "node:events";
import { PassThrough, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract, type Pack, pack } from "tar-stream";
import { GatehouseError, invariant } from "../core/index.ts";

/** One file of the archive; `bytes` are borrowed until the next one is asked for. */
export interface ArchiveEntry {
  /** Relative, with `/`. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

const MODE = 0o600;
/** What the types of `end` want. */
const NOTHING = new Uint8Array();
/** Of a path inside: longer ones would need extensions that not every reader has. */
const NAME = /^[A-Za-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/;
const NAME_MAX = 100;

/** A tar (POSIX ustar) of the entries, as they come. `at` is Unix ms. */
export async function* writeArchive(
  entries: AsyncIterable<ArchiveEntry>,
  at: number,
): AsyncGenerator<Uint8Array, void, void> {
  const tar = pack();
  const feeding = feed(tar, entries, new Date(at)).catch((failure: unknown) => {
    tar.destroy(failure instanceof Error ? failure : new Error(String(failure)));
  });
  for await (const chunk of tar) yield checkedChunk(chunk);
  await feeding;
}

async function feed(tar: Pack, entries: AsyncIterable<ArchiveEntry>, mtime: Date): Promise<void> {
  for await (const { name, sizeBytes, bytes } of entries) {
    const sink = tar.entry({ name: checkedName(name), size: sizeBytes, mode: MODE, mtime });
    const stored = once(sink, "finish");
    // A failure shows where it is awaited.
    stored.catch(() => undefined);
    for await (const chunk of bytes) if (!sink.write(chunk)) await once(sink, "drain");
    sink.end(NOTHING);
    await stored;
  }
  tar.finalize();
}

/** The files of a tar, one after the other, each to be read to its end. @throws GatehouseError `backup.damaged` */
export async function* readArchive(
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<ArchiveEntry, void, void> {
  const untar = extract({});
  const source = pipeline(Readable.from(bytes), new PassThrough(), untar).catch((failure: unknown) => {
    untar.destroy(failure instanceof Error ? failure : new Error(String(failure)));
  });
  for await (const entry of untar) {
    const { name, size, type } = entry.header;
    if (type !== "file" || size === undefined) throw notOurs();
    yield { name: checkedName(name), sizeBytes: size, bytes: chunksOf(entry) };
  }
  await source;
}

async function* chunksOf(entry: AsyncIterable<unknown>): AsyncGenerator<Uint8Array, void, void> {
  for await (const chunk of entry) yield checkedChunk(chunk);
}

function checkedChunk(chunk: unknown): Uint8Array {
  invariant(chunk instanceof Uint8Array, "a stream of bytes gives bytes");
  return chunk;
}

function checkedName(name: string): string {
  const isPlain = name.length <= NAME_MAX && NAME.test(name);
  if (!isPlain || name.split("/").some((part) => part === "." || part === "..")) throw notOurs();
  return name;
}

function notOurs(): GatehouseError<"backup.damaged"> {
  return new GatehouseError("backup.damaged", "the backup holds something that no backup holds", {
    hint: "nothing was changed; take another copy of the file, or an earlier backup",
  });
}
