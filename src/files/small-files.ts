import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, link, open, rename, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { GatehouseError, hex, LIMITS } from "../core/index.ts";
import { syncDir } from "./directories.ts";
import { errnoOf, withFile } from "./failures.ts";

export const PRIVATE_FILE_MODE = 0o600;

/**
 * Reads a whole regular file of at most `sizeBytesMax` bytes.
 *
 * @throws file.not-found, file.too-large, file.io
 */
export async function readSmallFile(
  path: string,
  sizeBytesMax: number = LIMITS.smallFileBytes,
): Promise<Uint8Array> {
  return await withFile(path, async () => {
    // Without O_NONBLOCK a FIFO in the file's place would hang the open.
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      if (!(await handle.stat()).isFile()) {
        throw new GatehouseError("file.io", `${basename(path)} is not a regular file`);
      }
      return await readBounded(handle, path, sizeBytesMax);
    } finally {
      await handle.close();
    }
  });
}

/**
 * Replaces `path` by `bytes` (mode 0600), durable on return: a reader, or a crash at any point, meets the old
 * content or the new one. Borrows `bytes` until it settles.
 *
 * @throws file.not-found when the directory is missing. @throws file.io
 */
export async function writeAtomic(path: string, bytes: Uint8Array): Promise<void> {
  await withTemporary(path, bytes, async (temporary) => {
    await rename(temporary, path);
  });
}

/**
 * Writes `path` (mode 0600) only if nothing is there; of several processes that try, one is told `created`. Durable
 * on return either way: whoever is told `exists` may rely on what it then reads. Borrows `bytes` until it settles.
 *
 * @throws file.not-found when the directory is missing. @throws file.io
 */
export async function createOnce(path: string, bytes: Uint8Array): Promise<"created" | "exists"> {
  return await withTemporary(path, bytes, async (temporary) => {
    try {
      await link(temporary, path);
      return "created";
    } catch (failure) {
      if (errnoOf(failure) === "EEXIST") return "exists";
      throw failure;
    } finally {
      await unlink(temporary);
    }
  });
}

/** Removes `path`, durable on return; nothing happens when it is not there. @throws file.io */
export async function removeFile(path: string): Promise<void> {
  await withFile(path, async () => {
    try {
      await unlink(path);
    } catch (failure) {
      if (errnoOf(failure) !== "ENOENT") throw failure;
      return;
    }
    await syncDir(dirname(path));
  });
}

/**
 * Gives a file another name, in place of whatever has it, durable on return; nothing happens when it is not there.
 * @throws file.not-found when the directory of `to` is missing. @throws file.io
 */
export async function moveFile(from: string, to: string): Promise<void> {
  await withFile(from, async () => {
    try {
      await rename(from, to);
    } catch (failure) {
      if (errnoOf(failure) !== "ENOENT") throw failure;
    }
    await syncDir(dirname(to));
    await syncDir(dirname(from));
  });
}

async function withTemporary<Result>(
  path: string,
  bytes: Uint8Array,
  publish: (temporary: string) => Promise<Result>,
): Promise<Result> {
  const temporary = temporaryName(path);
  return await withFile(path, async () => {
    try {
      await writeNew(temporary, bytes);
      const result = await publish(temporary);
      await syncDir(dirname(path));
      return result;
    } catch (failure) {
      await unlink(temporary).catch(() => undefined);
      throw failure;
    }
  });
}

/** `.name.<32 hex digits>.tmp` beside the file. */
export function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${hex(randomBytes(16))}.tmp`);
}

async function writeNew(path: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(path, "wx", PRIVATE_FILE_MODE);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readBounded(handle: FileHandle, path: string, sizeBytesMax: number): Promise<Uint8Array> {
  const { size } = await handle.stat();
  // One byte more than promised shows whether the file grew since it was measured.
  const bytes = new Uint8Array(Math.min(size, sizeBytesMax) + 1);
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await handle.read(bytes, length, bytes.length - length, length);
    if (bytesRead === 0) return bytes.subarray(0, length);
    length += bytesRead;
  }
  if (length > sizeBytesMax) {
    throw new GatehouseError("file.too-large", `${basename(path)} is larger than ${sizeBytesMax} bytes`);
  }
  throw new GatehouseError("file.io", `${basename(path)} grew while it was read`);
}
