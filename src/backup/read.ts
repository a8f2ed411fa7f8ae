import { createHash } from "node:crypto";
import { equalBytes, utf8 } from "../core/index.ts";
import { decryptWith } from "./age.ts";
import { type ArchiveEntry, readArchive } from "./archive.ts";
import {
  damagedBackup,
  ENTRIES,
  MANIFEST_BYTES_MAX,
  type Manifest,
  type ManifestEntry,
  parseManifest,
} from "./manifest.ts";

/** Of `restore.key`. */
const KEY_BYTES_MAX = 1_024;

export interface BackupReader {
  /** A file of the home, its path below it; nothing it holds may be believed before `readBackup` settles. */
  file(path: string, bytes: AsyncIterable<Uint8Array>): Promise<void>;
}

export interface ReadBackup {
  readonly manifest: Manifest;
  /** The text of the recovery key that opens the home's files; the caller's to wipe. */
  readonly restoreKey: Uint8Array;
}

/**
 * Reads a backup to its end and checks every byte against its manifest.
 * @throws GatehouseError `backup.damaged`, `backup.unknown-format`, and as `decryptWith`; what `reader` throws
 */
export async function readBackup(
  bytes: AsyncIterable<Uint8Array>,
  identity: string,
  reader: BackupReader,
): Promise<ReadBackup> {
  const seen: ManifestEntry[] = [];
  let [restoreKey, last]: [Uint8Array | undefined, Uint8Array | undefined] = [undefined, undefined];
  let versions = 0;
  for await (const entry of readArchive(decryptWith(identity, bytes))) {
    if (last !== undefined) throw damagedBackup("its end");
    const { name } = entry;
    if (name === ENTRIES.manifest) {
      last = await whole(entry, MANIFEST_BYTES_MAX);
      continue;
    }
    const hash = createHash("sha256");
    const hashed: ArchiveEntry = { ...entry, bytes: hashing(entry.bytes, hash) };
    if (name === ENTRIES.restoreKey) restoreKey = await whole(hashed, KEY_BYTES_MAX);
    else if (name.startsWith(ENTRIES.homePrefix))
      await reader.file(name.substring(ENTRIES.homePrefix.length), hashing(entry.bytes, hash));
    else if (name.startsWith("secrets/")) versions += await countLines(hashed.bytes);
    else await drain(hashed.bytes);
    seen.push({ name, sizeBytes: entry.sizeBytes, sha256: hash.digest("hex") });
  }
  if (last === undefined || restoreKey === undefined) throw damagedBackup("its end");
  const manifest = parseManifest(last);
  if (!isSame(manifest.entries, seen) || manifest.versions !== versions)
    throw damagedBackup("its list of files");
  return { manifest, restoreKey };
}

function isSame(expected: readonly ManifestEntry[], seen: readonly ManifestEntry[]): boolean {
  const flat = (entries: readonly ManifestEntry[]) =>
    utf8(JSON.stringify(entries.map(({ name, sizeBytes, sha256 }) => [name, sizeBytes, sha256])));
  return equalBytes(flat(expected), flat(seen));
}

async function* hashing(
  bytes: ArchiveEntry["bytes"],
  hash: { update(chunk: Uint8Array): unknown },
): AsyncGenerator<Uint8Array, void, void> {
  for await (const chunk of bytes) {
    hash.update(chunk);
    yield chunk;
  }
}

async function whole({ name, sizeBytes, bytes }: ArchiveEntry, sizeBytesMax: number): Promise<Uint8Array> {
  if (sizeBytes > sizeBytesMax) throw damagedBackup(name);
  const all = new Uint8Array(sizeBytes);
  let offset = 0;
  for await (const chunk of bytes) {
    all.set(chunk, offset);
    offset += chunk.length;
  }
  return all;
}

async function drain(bytes: ArchiveEntry["bytes"]): Promise<void> {
  for await (const _chunk of bytes);
}

async function countLines(bytes: ArchiveEntry["bytes"]): Promise<number> {
  let [lines, last] = [0, 0x0a];
  for await (const chunk of bytes) {
    for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, at + 1)) lines += 1;
    last = chunk.at(-1) ?? last;
  }
  if (last !== 0x0a) throw damagedBackup("a line of its secrets");
  return lines;
}
