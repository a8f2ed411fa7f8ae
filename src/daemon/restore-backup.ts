/** A home from a backup, whole or not at all; and the proof that one could be made. */
import { createReadStream } from "node:fs";
import { lstat, mkdir, mkdtemp, open, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { type BackupKey, type Manifest, readBackup } from "../backup/index.ts";
import { type Clock, GatehouseError, invariant, type Logger, type Random } from "../core/index.ts";
import { homeLayout, syncDir } from "../files/index.ts";
import { parseDeviceId } from "../identity/index.ts";
import { formatRecipient, type KeyProvider, recipientOf, recoveryProvider } from "../keystore/index.ts";
import { vaultKeySlots } from "../vault/index.ts";
import { removeHomeKey, restoreHomeKeys } from "./home-keys.ts";
import { checkGatehouse, type ProvedBackup, proveBackup, type UnpackedBackup } from "./prove-backup.ts";

export interface BackupInput {
  /** The backup. */
  readonly file: string;
  /** An age identity that it was made for: `AGE-SECRET-KEY-1…`. */
  readonly key: BackupKey;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Device id of the gatehouse that it must be of, however it was typed; any when left out. */
  readonly gatehouse?: string | undefined;
  /** Ends the work, up to the moment when the home is moved into its place. */
  readonly signal?: AbortSignal;
  /** Hears how many bytes of the file were read. */
  readonly progress?: (readBytes: number) => void;
}

export interface VerifiedBackup extends ProvedBackup {
  readonly manifest: Manifest;
}

/**
 * Reads all of it, makes a home of it aside and opens every record there.
 * @throws GatehouseError `file.not-found`, `file.io`, `backup.wrong-key`, `backup.unknown-format`,
 * `backup.other-gatehouse`, `usage.bad-argument`, and as `proveBackup`
 */
export async function verifyBackup(input: BackupInput): Promise<VerifiedBackup> {
  await using place = await temporaryDir(join(tmpdir(), "gatehouse-verify-"));
  const unpacked = await unpack(place.path, input);
  return { manifest: unpacked.backup.manifest, ...(await proveBackup(unpacked, input)) };
}

/**
 * Makes `home`, which must be new or empty, from a backup that is proved first: the vault's new key is what `kek` makes,
 * the identity's a key file in `keyDir`. When it is started, every device is held until it is released.
 * @throws GatehouseError as `verifyBackup`; `home.already-initialized`; what `kek` throws
 */
export async function restoreBackup(
  input: BackupInput & { readonly home: string; readonly keyDir: string; readonly kek: KeyProvider },
): Promise<Manifest> {
  const home = resolve(input.home);
  await mkdir(dirname(home), { recursive: true, mode: 0o700 });
  await checkFree(home);
  await using place = await temporaryDir(`${home}.restore-`);
  const unpacked = await unpack(place.path, input);
  const { layout, backup, recovery } = unpacked;
  await input.kek.checkFree?.(backup.manifest.vaultId);
  await proveBackup(unpacked, input);
  input.signal?.throwIfAborted();
  const { keyDir, clock, random } = input;
  const own = { home: place.path, keyDir, clock, random };
  await restoreHomeKeys({ ...own, kek: recovery }, input.kek);
  const recipient = formatRecipient(recipientOf(backup.restoreKey));
  const slot = (await vaultKeySlots(layout.vaultDir)).find((candidate) => candidate.recipient === recipient);
  invariant(slot !== undefined, "the backup's own key opened it");
  await removeHomeKey({ ...own, kek: recovery }, slot.number);
  backup.restoreKey.fill(0);
  await rm(layout.lockFile, { force: true });
  await moveInto(place.path, home);
  return backup.manifest;
}

async function unpack(dir: string, input: BackupInput): Promise<UnpackedBackup> {
  const expected = input.gatehouse === undefined ? undefined : parseDeviceId(input.gatehouse);
  const folders = new Set<string>();
  const backup = await readBackup(bytesOf(input), input.key, {
    file: async (path, bytes) => {
      if (!HOME_FILE.test(path)) throw stranger();
      const target = join(dir, path);
      folders.add(dirname(target));
      await mkdir(dirname(target), { recursive: true, mode: 0o700 });
      await writeNew(target, bytes);
    },
  });
  checkGatehouse(backup, expected);
  for (const folder of folders) await syncDir(folder);
  // What opens it is checked here: a typing mistake in it is not the caller's.
  if (!isRecoveryKey(backup.restoreKey)) throw stranger();
  const recovery = recoveryProvider({ ask: () => Promise.resolve(new Uint8Array(backup.restoreKey)) });
  return { layout: homeLayout(dir), backup, recovery };
}

/** What `backupDesk` takes: nothing that belongs to one machine, and no file whose meaning nobody knows. */
const HOME_FILE =
  /^(?:boot|freezes|remotes\.json|(?:identity|ca|audit|vault)\/[A-Za-z0-9_-][A-Za-z0-9._-]*)$/;

function isRecoveryKey(text: Uint8Array): boolean {
  try {
    recipientOf(text);
    return true;
  } catch {
    return false;
  }
}

async function* bytesOf({ file, progress, signal }: BackupInput): AsyncGenerator<Uint8Array, void, void> {
  let readBytes = 0;
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 262_144 })) {
      signal?.throwIfAborted();
      readBytes += chunk.length;
      progress?.(readBytes);
      yield chunk;
    }
  } catch (cause) {
    signal?.throwIfAborted();
    const code = codeOf(cause);
    if (code === "ENOENT") throw new GatehouseError("file.not-found", `no file ${file}`, { cause });
    throw new GatehouseError("file.io", "the backup cannot be read", { cause });
  }
}

async function writeNew(path: string, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  await using file = await written(() => open(path, "wx", 0o600));
  for await (const chunk of bytes) await written(() => file.writeFile(chunk));
  await written(() => file.sync());
}

async function written<Result>(write: () => Promise<Result>): Promise<Result> {
  try {
    return await write();
  } catch (cause) {
    const reason = codeOf(cause) === "ENOSPC" ? "the disk is full" : "a file cannot be written";
    throw new GatehouseError("file.io", `the home cannot be made: ${reason}`, {
      hint: "nothing was changed",
      cause,
    });
  }
}

/** Over an empty folder, or nothing; a home that came meanwhile stays. */
async function moveInto(place: string, home: string): Promise<void> {
  try {
    await rename(place, home);
  } catch (cause) {
    if (["ENOTEMPTY", "EEXIST", "ENOTDIR"].includes(codeOf(cause) ?? "")) throw notFree(home, cause);
    throw new GatehouseError("file.io", `the home cannot be moved to ${home}`, { cause });
  }
  await syncDir(dirname(home));
}

async function checkFree(home: string): Promise<void> {
  const found = await lstat(home).catch((cause: unknown) => {
    if (codeOf(cause) === "ENOENT") return undefined;
    throw new GatehouseError("file.io", `${home} cannot be looked at`, { cause });
  });
  if (found === undefined) return;
  if (!found.isDirectory() || (await readdir(home)).length > 0) throw notFree(home);
  // A whole home is moved there in one step, which no mount point allows.
  if (found.dev === (await lstat(dirname(home))).dev) return;
  throw new GatehouseError("usage.bad-argument", `${home} is a mount point`, {
    hint: `name a folder below it: --home ${join(home, "gatehouse")}`,
  });
}

function notFree(home: string, cause?: unknown): GatehouseError<"home.already-initialized"> {
  return new GatehouseError("home.already-initialized", `there is something in ${home} already`, {
    hint: "a backup is restored into a new home: name one with --home",
    ...(cause === undefined ? {} : { cause }),
  });
}

async function temporaryDir(prefix: string): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await written(() => mkdtemp(prefix));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

function stranger(): GatehouseError<"backup.damaged"> {
  return new GatehouseError("backup.damaged", "the backup holds something that no backup holds", {
    hint: "nothing was changed; take another copy of the file, or an earlier backup",
  });
}

function codeOf(failure: unknown): string | undefined {
  return failure instanceof Error && "code" in failure && typeof failure.code === "string"
    ? failure.code
    : undefined;
}
