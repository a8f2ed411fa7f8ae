import { createHash } from "node:crypto";
import { utf8 } from "../core/index.ts";
import { encryptTo } from "./age.ts";
import { writeArchive } from "./archive.ts";
import { ENTRIES, MANIFEST_FORMAT, type Manifest, type ManifestEntry } from "./manifest.ts";
import type { ArchiveEntry } from "./untar.ts";

export interface BackupContents {
  readonly manifest: Omit<Manifest, "format" | "versions" | "entries">;
  /** Paths below the home. */
  readonly homeFiles: AsyncIterable<ArchiveEntry>;
  /** Lines of `secrets/`, one a version; each JSON without its line end. */
  readonly versions: Iterable<Uint8Array>;
  /** The text of the recovery key that opens `homeFiles`. */
  readonly restoreKey: Uint8Array;
  /** The gatehouse's statement that the manifest is its own: 64 bytes, in the last entry. */
  sign(manifest: Uint8Array): Uint8Array;
}

/** Of one part of `secrets/`, in memory while it is made. */
const PART_BYTES = 4_194_304;
const LINE_END = utf8("\n");

/**
 * A backup as it is written to a file: an age file of a tar, for `recipients`.
 * @throws GatehouseError as `encryptTo`
 */
export async function writeBackup(
  contents: BackupContents,
  recipients: readonly string[],
): Promise<AsyncIterable<Uint8Array>> {
  return await encryptTo(recipients, writeArchive(entriesOf(contents), contents.manifest.createdAt));
}

async function* entriesOf(contents: BackupContents): AsyncGenerator<ArchiveEntry, void, void> {
  const known: ManifestEntry[] = [];
  const hashed = (entry: ArchiveEntry) => withHash(entry, (seen) => known.push(seen));
  yield hashed(inMemory(ENTRIES.readme, utf8(README)));
  const count = { versions: 0 };
  for (const part of partsOf(contents.versions, count)) {
    yield hashed(part);
    await new Promise((resolve) => setImmediate(resolve));
  }
  for await (const file of contents.homeFiles) yield hashed({ ...file, name: ENTRIES.home(file.name) });
  yield hashed(inMemory(ENTRIES.restoreKey, contents.restoreKey));
  const manifest: Manifest = {
    ...{ format: MANIFEST_FORMAT, ...contents.manifest, versions: count.versions, entries: known },
  };
  const bytes = utf8(`${JSON.stringify(manifest, undefined, 2)}\n`);
  yield inMemory(ENTRIES.manifest, bytes);
  yield inMemory(ENTRIES.signature, contents.sign(bytes));
}

/** Wipes the lines it was given and each part once the next one is asked for. */
function* partsOf(
  lines: Iterable<Uint8Array>,
  count: { versions: number },
): Generator<ArchiveEntry, void, void> {
  let [part, sizeBytes, held]: [number, number, Uint8Array[]] = [0, 0, []];
  const finish = (): ArchiveEntry => {
    part += 1;
    return { name: ENTRIES.secrets(part), sizeBytes, bytes: held };
  };
  for (const line of lines) {
    count.versions += 1;
    held.push(line, LINE_END);
    sizeBytes += line.length + LINE_END.length;
    if (sizeBytes < PART_BYTES) continue;
    yield finish();
    [sizeBytes, held] = [0, wiped(held)];
  }
  yield finish();
  wiped(held);
}

function wiped(lines: readonly Uint8Array[]): [] {
  for (const line of lines) if (line !== LINE_END) line.fill(0);
  return [];
}

function withHash(entry: ArchiveEntry, tell: (seen: ManifestEntry) => void): ArchiveEntry {
  const { name, sizeBytes, bytes } = entry;
  const through = async function* () {
    const hash = createHash("sha256");
    for await (const chunk of bytes) {
      hash.update(chunk);
      yield chunk;
    }
    tell({ name, sizeBytes, sha256: hash.digest("hex") });
  };
  return { name, sizeBytes, bytes: through() };
}

function inMemory(name: string, bytes: Uint8Array): ArchiveEntry {
  return { name, sizeBytes: bytes.length, bytes: [bytes] };
}

const README = `A backup of a gatehouse: everything below is in the clear once the age file around it is opened.

  age -d -i KEY.txt FILE | tar x

secrets/*.jsonl   one line of JSON for each version of each secret: path, version, createdAt and expiresAt (Unix ms; 0 is
                  never), createdBy, contentType, labels, isRemoved, value (base64).
home/             the gatehouse's home, sealed, as it stood at that moment.
restore.key       a recovery key (an age identity) that opens home/.
manifest.json     sizes and SHA-256 of all the entries before it. Without it the backup is not whole.
manifest.sig      the gatehouse's identity key (Ed25519) over manifest.json.

To have the gatehouse itself back:

  gatehouse backup restore FILE --home NEW-HOME
`;
