import { readdir } from "node:fs/promises";
import { basename } from "node:path";
import { GatehouseError, LIMITS, unixMs } from "../core/index.ts";
import {
  AppendFile,
  createOnce,
  ensurePrivateDir,
  readSmallFile,
  removeFile,
  removeLeftovers,
  writeAtomic,
} from "../files/index.ts";

/** The few file operations the vault does. What writes is durable when it settles, unless it says otherwise. */
export interface VaultFiles {
  /** Makes `dir` if need be, clears leftovers of interrupted atomic writes, and answers the names in it. */
  list(dir: string): Promise<readonly string[]>;
  /** The whole file, the caller's own. */
  read(path: string): Promise<Uint8Array>;
  /** Makes a new file, whole under its name or not at all. @throws GatehouseError `file.exists`. */
  create(path: string, bytes: Uint8Array): Promise<void>;
  /** Makes or replaces a file, whole under its name or not at all. */
  replace(path: string, bytes: Uint8Array): Promise<void>;
  openAppend(path: string): Promise<AppendHandle>;
  remove(path: string): Promise<void>;
}

/** A file open for appending; what it does is durable after `sync` only. */
export interface AppendHandle extends AsyncDisposable {
  readonly size: number;
  /** When it fails, `size` is unchanged, but a part may be there: `truncate(size)` before the next one. */
  append(bytes: Uint8Array): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  sync(): Promise<void>;
}

/** Larger than any snapshot or journal segment can get. */
const FILE_BYTES_MAX = LIMITS.vaultBytes * 2;
const ANY_AGE = unixMs(Number.MAX_SAFE_INTEGER);

export const systemFiles: VaultFiles = {
  async list(dir) {
    await ensurePrivateDir(dir);
    // The home's lock makes this process the only writer, so every leftover is a dead one's.
    await removeLeftovers(dir, ANY_AGE);
    try {
      return await readdir(dir);
    } catch (cause) {
      throw new GatehouseError("file.io", "the vault's folder cannot be read", { cause });
    }
  },
  read: (path) => readSmallFile(path, FILE_BYTES_MAX),
  async create(path, bytes) {
    if ((await createOnce(path, bytes)) === "exists") {
      throw new GatehouseError("file.exists", `${basename(path)} exists already`);
    }
  },
  replace: writeAtomic,
  openAppend: (path) => AppendFile.open(path, { create: false }),
  remove: removeFile,
};
