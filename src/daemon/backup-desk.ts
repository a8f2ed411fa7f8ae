/** The whole home as it stands at one moment, for a backup; the daemon goes on meanwhile. */
import { createHash } from "node:crypto";
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type ArchiveEntry, checkRecipients, writeBackup } from "../backup/index.ts";
import { GatehouseError, isGatehouseError, utf8 } from "../core/index.ts";
import { LABELS } from "../crypto/index.ts";
import { type HomeLayout, readSmallFile } from "../files/index.ts";
import type { DeviceIdentity } from "../identity/index.ts";
import { generateRecoveryKey, recoveryRecipient } from "../keystore/index.ts";
import type { BackupDesk, BackupSummary } from "../services/index.ts";
import type { CapturedVersion, VaultCapture } from "../vault/index.ts";
import type { BootRecord } from "./boot-record.ts";
import { copyName } from "./recovery.ts";
import type { Effects, Storage } from "./storage.ts";

export interface BackupDeskParts extends Effects {
  readonly layout: HomeLayout;
  readonly identity: DeviceIdentity;
  readonly boot: BootRecord;
  readonly storage: Storage;
}

const CHUNK_BYTES = 262_144;

export function backupDesk(parts: BackupDeskParts): BackupDesk {
  let isRunning = false;
  return {
    async *create(recipients, signal) {
      if (isRunning) {
        throw new GatehouseError("backup.running", "another backup is being made", {
          hint: "try again when it has ended",
        });
      }
      isRunning = true;
      try {
        yield* makeBackup(parts, recipients, signal);
      } finally {
        isRunning = false;
      }
    },
  };
}

async function* makeBackup(
  parts: BackupDeskParts,
  further: readonly string[],
  signal: AbortSignal,
): ReturnType<BackupDesk["create"]> & AsyncGenerator {
  const { storage, layout, identity, boot, random, clock } = parts;
  const { vault } = storage;
  const own = vault.keys.slots.flatMap(({ recipient }) => recipient ?? []);
  const recipients = [...new Set([...own, ...further])];
  checkRecipients(recipients);
  // Opens the copy for whoever can read the backup, and nothing else: it is in there.
  const key = generateRecoveryKey(random);
  using text = key.text;
  const provider = recoveryRecipient({ recipient: key.recipient, random });
  const identityCopy = await identity.copyFor(layout.identityDir, { keys: provider, random });
  let small: readonly ArchiveEntry[] = [];
  let audit: readonly { readonly name: string; readonly sizeBytes: number }[] = [];
  let [revocationEpoch, createdAt] = [0, 0];
  using capture = await vault.capture({
    provider,
    mark: async () => {
      [revocationEpoch, createdAt] = [vault.devices.epoch, clock.now()];
      [small, audit] = [await smallFiles(layout), await sizesIn(layout.auditDir)];
    },
  });
  const file = await writeBackup(
    {
      manifest: {
        ...{ createdAt, gatehouse: { id: identity.id, name: boot.name }, vaultId: vault.id },
        ...{ sequence: capture.sequence, revocationEpoch },
      },
      homeFiles: homeFiles(capture, [
        ...small,
        inMemory(`identity/${copyName(key.recipient)}`, identityCopy),
        ...audit.map((part) => auditEntry(layout, part)),
      ]),
      versions: linesOf(capture.versions()),
      restoreKey: text.use((bytes) => new Uint8Array(bytes)),
      sign: (manifest) => identity.sign(LABELS.backupManifest, manifest),
    },
    recipients,
  );
  const hash = createHash("sha256");
  let sizeBytes = 0;
  for await (const bytes of inChunks(file)) {
    signal.throwIfAborted();
    hash.update(bytes);
    sizeBytes += bytes.length;
    yield { bytes };
  }
  const summary: BackupSummary = {
    ...{ sequence: capture.sequence, sizeBytes, sha256: new Uint8Array(hash.digest()) },
    ...{ recipients, createdAt },
  };
  yield { summary };
}

/** What a home has beside vault and log; tickets, lock and addresses are this machine's alone. */
async function smallFiles({ root }: HomeLayout): Promise<readonly ArchiveEntry[]> {
  const names = [
    ...["boot", "freezes", "remotes.json"],
    ...(await namesIn(root, "identity")),
    ...(await namesIn(root, "ca")),
  ];
  const entries: ArchiveEntry[] = [];
  for (const name of names) {
    const bytes = await readIfThere(join(root, name));
    if (bytes !== undefined) entries.push(inMemory(name, bytes));
  }
  return entries;
}

async function namesIn(root: string, folder: string): Promise<readonly string[]> {
  const entries = await readdir(join(root, folder), { withFileTypes: true });
  // Names with a dot before them are writes under way.
  const files = entries.filter((entry) => entry.isFile() && !entry.name.startsWith("."));
  return files.map(({ name }) => `${folder}/${name}`).sort();
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readSmallFile(path);
  } catch (failure) {
    if (isGatehouseError(failure, "file.not-found")) return undefined;
    throw failure;
  }
}

async function sizesIn(dir: string) {
  const names = (await readdir(dir)).filter((name) => !name.startsWith(".")).sort();
  return await Promise.all(
    names.map(async (name) => ({ name, sizeBytes: (await stat(join(dir, name))).size })),
  );
}

async function* homeFiles(
  { files }: VaultCapture,
  others: readonly ArchiveEntry[],
): AsyncGenerator<ArchiveEntry, void, void> {
  yield* others;
  for (const { name, bytes } of files) yield inMemory(`vault/${name}`, bytes);
}

/** The log only grows: its bytes up to the size it had are those of that moment. */
function auditEntry(
  { auditDir }: HomeLayout,
  { name, sizeBytes }: { readonly name: string; readonly sizeBytes: number },
): ArchiveEntry {
  return { name: `audit/${name}`, sizeBytes, bytes: prefixOf(join(auditDir, name), sizeBytes) };
}

async function* prefixOf(path: string, sizeBytes: number): AsyncGenerator<Uint8Array, void, void> {
  if (sizeBytes === 0) return;
  await using file = await open(path);
  yield* file.createReadStream({ start: 0, end: sizeBytes - 1, autoClose: false });
}

/** Lines are the reader's to wipe. */
function* linesOf(versions: Iterable<CapturedVersion>): Generator<Uint8Array, void, void> {
  for (const { value, ...facts } of versions) {
    yield utf8(JSON.stringify({ ...facts, value: Buffer.from(value).toString("base64") }));
    value.fill(0);
  }
}

function inMemory(name: string, bytes: Uint8Array): ArchiveEntry {
  return { name, sizeBytes: bytes.length, bytes: [bytes] };
}

/** Small pieces together, large ones apart; the event loop gets its turns between them. */
async function* inChunks(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  let [held, sizeBytes]: [Uint8Array[], number] = [[], 0];
  for await (const piece of bytes) {
    held.push(piece);
    sizeBytes += piece.length;
    if (sizeBytes < CHUNK_BYTES) continue;
    const all = Buffer.concat(held);
    let offset = 0;
    for (; all.length - offset >= CHUNK_BYTES; offset += CHUNK_BYTES) {
      yield new Uint8Array(all.subarray(offset, offset + CHUNK_BYTES));
    }
    [held, sizeBytes] = [[all.subarray(offset)], all.length - offset];
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (sizeBytes > 0) yield new Uint8Array(Buffer.concat(held));
}
