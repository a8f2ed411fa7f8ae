import { createHash } from "node:crypto";
import { equalBytes, utf8 } from "../core/index.ts";
import { type BackupKey, decryptWith } from "./age.ts";
import {
  damagedBackup,
  ENTRIES,
  MANIFEST_BYTES_MAX,
  type Manifest,
  type ManifestEntry,
  parseManifest,
} from "./manifest.ts";
import { digestLines } from "./secret-lines.ts";
import { type ArchiveEntry, notOurs, readArchive } from "./untar.ts";
import { VersionDigest } from "./version-digest.ts";

/** Of `restore.key`. */
const KEY_BYTES_MAX = 1_024;
const SIGNATURE_BYTES = 64;

export interface BackupReader {
  /** A file of the home, its path below it; nothing it holds may be believed before `readBackup` settles. */
  file(path: string, bytes: AsyncIterable<Uint8Array>): Promise<void>;
}

export interface ReadBackup {
  readonly manifest: Manifest;
  /** What `signature` is over, which the caller checks: the age format does not tell who wrote a file. */
  readonly manifestBytes: Uint8Array;
  readonly signature: Uint8Array;
  /** Of the versions in `secrets/`. */
  readonly versionsDigest: Uint8Array;
  /** The text of the recovery key that opens the home's files; the caller's to wipe. */
  readonly restoreKey: Uint8Array;
}

/**
 * Reads a backup to its end and checks every byte against its manifest.
 * @throws GatehouseError `backup.damaged`, `backup.unknown-format`, and as `decryptWith`; what `reader` throws
 */
export async function readBackup(
  bytes: AsyncIterable<Uint8Array>,
  identity: BackupKey,
  reader: BackupReader,
): Promise<ReadBackup> {
  const seen: ManifestEntry[] = [];
  const digest = new VersionDigest();
  const none: Uint8Array = new Uint8Array();
  let [restoreKey, manifestBytes, signature] = [none, none, none];
  for await (const entry of readArchive(decryptWith(identity, bytes))) {
    if (signature.length > 0) throw damagedBackup("its end");
    const { name } = entry;
    if (manifestBytes.length > 0) {
      if (name !== ENTRIES.signature || entry.sizeBytes !== SIGNATURE_BYTES) throw damagedBackup("its end");
      signature = await whole(entry, SIGNATURE_BYTES);
    } else if (name === ENTRIES.manifest) {
      if (entry.sizeBytes === 0) throw damagedBackup("its manifest");
      manifestBytes = await whole(entry, MANIFEST_BYTES_MAX);
    } else {
      const hash = createHash("sha256");
      const hashed = { ...entry, bytes: hashing(entry.bytes, hash) };
      if (name === ENTRIES.restoreKey) restoreKey = await whole(hashed, KEY_BYTES_MAX);
      else if (name.startsWith(ENTRIES.homePrefix))
        await reader.file(name.substring(ENTRIES.homePrefix.length), hashed.bytes);
      else if (ENTRIES.isSecrets(name)) await digestLines(hashed.bytes, digest);
      else if (name === ENTRIES.readme) await drain(hashed.bytes);
      else throw notOurs();
      seen.push({ name, sizeBytes: entry.sizeBytes, sha256: hash.digest("hex") });
    }
  }
  if (signature.length === 0 || restoreKey.length === 0) throw damagedBackup("its end");
  const manifest = parseManifest(manifestBytes);
  if (!isSame(manifest.entries, seen) || manifest.versions !== digest.count)
    throw damagedBackup("its list of files");
  return { manifest, manifestBytes, signature, restoreKey, versionsDigest: digest.finish() };
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
