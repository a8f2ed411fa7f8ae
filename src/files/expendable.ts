/**
 * Files whose loss costs nothing but time: whole or not there for whoever reads them, but written without waiting for the
 * disk. After a power failure one may be gone, empty, or back again.
 */
import { lstat, readdir, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isGatehouseError } from "../core/index.ts";
import { errnoOf, withFile } from "./failures.ts";
import { PRIVATE_FILE_MODE, readSmallFile, temporaryName } from "./small-files.ts";

/** Replaces `path` by `bytes` (mode 0600). @throws file.not-found when the directory is missing. @throws file.io */
export async function writeExpendable(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = temporaryName(path);
  await withFile(path, async () => {
    try {
      await writeFile(temporary, bytes, { flag: "wx", mode: PRIVATE_FILE_MODE });
      await rename(temporary, path);
    } catch (failure) {
      await unlink(temporary).catch(() => undefined);
      throw failure;
    }
  });
}

/**
 * Removes `path` and answers what was in it; of several processes that try, one gets it and the others `undefined`, as
 * when it is not there. What is too large to read is removed too.
 *
 * @throws file.too-large, file.io
 */
export async function takeExpendable(path: string, sizeBytesMax: number): Promise<Uint8Array | undefined> {
  try {
    const bytes = await readSmallFile(path, sizeBytesMax);
    return (await removeExpendable(path)) ? bytes : undefined;
  } catch (failure) {
    if (isGatehouseError(failure, "file.not-found")) return undefined;
    if (isGatehouseError(failure, "file.too-large")) await removeExpendable(path);
    throw failure;
  }
}

/** Whether this process removed `path`, and no other one. @throws file.io */
export async function removeExpendable(path: string): Promise<boolean> {
  return await withFile(path, async () => {
    try {
      await unlink(path);
      return true;
    } catch (failure) {
      if (errnoOf(failure) === "ENOENT") return false;
      throw failure;
    }
  });
}

/** Names in `dir` but those of temporary files, sorted; none when it does not exist. @throws file.io */
export async function listNames(dir: string): Promise<readonly string[]> {
  try {
    const names = await withFile(dir, () => readdir(dir));
    return names.filter((name) => !name.startsWith(".")).sort();
  } catch (failure) {
    if (isGatehouseError(failure, "file.not-found")) return [];
    throw failure;
  }
}

export interface ListedFile {
  readonly name: string;
  readonly sizeBytes: number;
  /** Unix milliseconds. */
  readonly writtenAtMs: number;
}

/** `listNames` with what the system knows of each; what goes away meanwhile is left out. @throws file.io */
export async function listFiles(dir: string): Promise<readonly ListedFile[]> {
  const names = await listNames(dir);
  const found = await withFile(dir, () => Promise.all(names.map((name) => listed(dir, name))));
  return found.filter((file) => file !== undefined);
}

async function listed(dir: string, name: string): Promise<ListedFile | undefined> {
  try {
    const { size, mtimeMs } = await lstat(join(dir, name));
    return { name, sizeBytes: size, writtenAtMs: mtimeMs };
  } catch (failure) {
    if (errnoOf(failure) === "ENOENT") return undefined;
    throw failure;
  }
}
