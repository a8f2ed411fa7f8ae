import { once } from "node:events";
import { type Pack, pack } from "tar-stream";
import { invariant } from "../core/index.ts";
import { type ArchiveEntry, isEntryName } from "./untar.ts";

const MODE = 0o600;
/** What the types of `end` want. */
const NOTHING = new Uint8Array();

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

function checkedChunk(chunk: unknown): Uint8Array {
  invariant(chunk instanceof Uint8Array, "a stream of bytes gives bytes");
  return chunk;
}

function checkedName(name: string): string {
  invariant(isEntryName(name), "a backup names its files plainly");
  return name;
}
