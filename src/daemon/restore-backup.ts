/** A home from a backup, whole or not at all; and the proof that one could be made. */
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, open, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { type Manifest, readBackup } from "../backup/index.ts";
import { type Clock, GatehouseError, invariant, type Logger, type Random, Resources } from "../core/index.ts";
import { homeLayout, syncDir } from "../files/index.ts";
import {
  formatRecipient,
  generateRecoveryKey,
  type KeyProvider,
  recipientOf,
  recoveryProvider,
  recoveryRecipient,
} from "../keystore/index.ts";
import { vaultKeySlots } from "../vault/index.ts";
import { removeHomeKey, restoreHomeKeys } from "./home-keys.ts";
import { openIdentityCopy } from "./recovery.ts";
import { openStorage } from "./storage.ts";

export interface BackupInput {
  /** The backup. */
  readonly file: string;
  /** An age identity that it was made for: `AGE-SECRET-KEY-1…`. */
  readonly ageIdentity: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Hears how many bytes of the file were read. */
  readonly progress?: (readBytes: number) => void;
}

export interface VerifiedBackup {
  readonly manifest: Manifest;
  /** Versions of secrets that were opened, each like its line in the clear. */
  readonly versions: number;
  /** Devices in it, revoked ones included. */
  readonly devices: number;
}

/**
 * Reads all of it, makes a home of it aside and opens every record there.
 * @throws GatehouseError `file.not-found`, `backup.damaged`, `backup.wrong-key`, `backup.unknown-format`,
 * `usage.bad-argument`; `vault.damaged`, `audit.damaged`, `identity.damaged` when it was wrong before it was sealed
 */
export async function verifyBackup(input: BackupInput): Promise<VerifiedBackup> {
  await using place = await temporaryDir(join(tmpdir(), "gatehouse-verify-"));
  const { manifest, recovery } = await unpack(place.path, input);
  const layout = homeLayout(place.path);
  await using resources = new Resources();
  await openIdentityCopy(layout, recovery);
  const options = { keyDir: place.path, kek: recovery, mode: "open" } as const;
  const { vault, audit } = await openStorage(layout, options, input, resources);
  if ((await audit.verify()).kind === "damaged") throw notWhole("its audit log does not verify");
  let versions = 0;
  using capture = await vault.capture({ provider: anyKey(input.random), mark: () => Promise.resolve() });
  for (const { value } of capture.versions()) {
    value.fill(0);
    versions += 1;
  }
  if (versions !== manifest.versions) throw notWhole("its vault and its readable copy differ");
  return { manifest, versions, devices: vault.devices.list().length };
}

/**
 * Makes `home`, which must be new or empty, from a backup: the vault's new key is what `kek` makes, the identity's a key file
 * in `keyDir`. When it is started, every device is held until it is released.
 * @throws GatehouseError as `verifyBackup`; `home.already-initialized`; what `kek` throws
 */
export async function restoreBackup(
  input: BackupInput & { readonly home: string; readonly keyDir: string; readonly kek: KeyProvider },
): Promise<Manifest> {
  const home = resolve(input.home);
  await checkEmpty(home);
  await mkdir(dirname(home), { recursive: true, mode: 0o700 });
  await using place = await temporaryDir(`${home}.restore-`);
  const { manifest, recovery, recipient } = await unpack(place.path, input);
  const { keyDir, clock, random } = input;
  const own = { home: place.path, keyDir, clock, random };
  await restoreHomeKeys({ ...own, kek: recovery }, input.kek);
  const slots = await vaultKeySlots(homeLayout(place.path).vaultDir);
  const slot = slots.find((candidate) => candidate.recipient === recipient);
  invariant(slot !== undefined, "the backup's own key opened it");
  await removeHomeKey({ ...own, kek: recovery }, slot.number);
  await rm(homeLayout(place.path).lockFile, { force: true });
  // Over an empty folder, or nothing; a home that came meanwhile stays.
  await rename(place.path, home);
  await syncDir(dirname(home));
  return manifest;
}

async function unpack(dir: string, { file, ageIdentity, progress }: BackupInput) {
  const folders = new Set<string>();
  const { manifest, restoreKey } = await readBackup(bytesOf(file, progress), ageIdentity, {
    file: async (path, bytes) => {
      const target = join(dir, path);
      folders.add(dirname(target));
      await mkdir(dirname(target), { recursive: true, mode: 0o700 });
      await writeNew(target, bytes);
    },
  });
  for (const folder of folders) await syncDir(folder);
  const recovery = recoveryProvider({ ask: () => Promise.resolve(new Uint8Array(restoreKey)) });
  return { manifest, recovery, recipient: formatRecipient(recipientOf(restoreKey)) };
}

async function* bytesOf(
  path: string,
  progress: ((readBytes: number) => void) | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  let readBytes = 0;
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 262_144 })) {
      readBytes += chunk.length;
      progress?.(readBytes);
      yield chunk;
    }
  } catch (cause) {
    const isMissing = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
    if (isMissing) throw new GatehouseError("file.not-found", `no file ${path}`, { cause });
    throw new GatehouseError("file.io", "the backup cannot be read", { cause });
  }
}

async function writeNew(path: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  for await (const chunk of bytes) await file.writeFile(chunk);
  await file.sync();
}

async function checkEmpty(home: string): Promise<void> {
  const names = await readdir(home).catch(() => []);
  if (names.length === 0) return;
  throw new GatehouseError("home.already-initialized", `there is something in ${home} already`, {
    hint: "a backup is restored into a new home: name one with --home",
  });
}

async function temporaryDir(prefix: string): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(prefix);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** Nobody wants to open what it opens. */
function anyKey(random: Random): KeyProvider {
  const { recipient, text } = generateRecoveryKey(random);
  text[Symbol.dispose]();
  return recoveryRecipient({ recipient, random });
}

function notWhole(what: string): GatehouseError<"backup.damaged"> {
  return new GatehouseError("backup.damaged", `the backup was not right when it was made: ${what}`, {
    hint: "nothing was changed; make a new backup while the gatehouse still runs",
  });
}
