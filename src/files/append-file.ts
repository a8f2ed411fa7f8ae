import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { GatehouseError } from "../core/index.ts";
import { syncDir } from "./directories.ts";
import { errnoOf, withFile } from "./failures.ts";

const PRIVATE_FILE_MODE = 0o600;

/**
 * A file that grows at its end. Writers take turns: an `append` or `truncate` while another is under way is misuse.
 * Reads may run at any time. Nothing is durable before `sync`.
 */
export class AppendFile implements AsyncDisposable {
  readonly path: string;
  readonly #handle: FileHandle;
  #size: number;
  #isWriting = false;

  private constructor(path: string, handle: FileHandle, size: number) {
    this.path = path;
    this.#handle = handle;
    this.#size = size;
  }

  /**
   * Opens `path`. With `create` a missing file is made (0600, its name durable on return).
   *
   * @throws file.not-found, file.io
   */
  static async open(path: string, { create }: { readonly create: boolean }): Promise<AppendFile> {
    return await withFile(path, async () => {
      const { handle, isNew } = await openOrMake(path, create);
      try {
        if (isNew) await syncDir(dirname(path));
        const found = await handle.stat();
        if (!found.isFile()) throw new GatehouseError("file.io", `${basename(path)} is not a regular file`);
        return new AppendFile(path, handle, found.size);
      } catch (failure) {
        await handle.close();
        throw failure;
      }
    });
  }

  /** Bytes that were there at the start or appended whole since. */
  get size(): number {
    return this.#size;
  }

  /**
   * Writes all of `bytes` at the end, however many short writes it takes; borrows them until it settles. When it
   * fails, `size` is unchanged, but the file may hold a part: `truncate(size)` before the next append.
   *
   * @throws file.io
   */
  async append(bytes: Uint8Array): Promise<void> {
    await this.#write(async () => {
      let written = 0;
      while (written < bytes.length) {
        const rest = bytes.length - written;
        const { bytesWritten } = await this.#handle.write(bytes, written, rest, this.#size + written);
        if (bytesWritten === 0) throw new GatehouseError("file.io", `${basename(this.path)} takes no bytes`);
        written += bytesWritten;
      }
      this.#size += bytes.length;
    });
  }

  /**
   * Makes what was appended durable (fdatasync, off the main thread). After a failure the system may have dropped
   * the bytes though a later sync succeeds: only reading the file again says what is there.
   *
   * @throws file.io
   */
  async sync(): Promise<void> {
    await withFile(this.path, () => this.#handle.datasync());
  }

  /** Cuts the file to `size` bytes, at most its present size. @throws file.io */
  async truncate(size: number): Promise<void> {
    if (!Number.isSafeInteger(size) || size < 0 || size > this.#size) {
      throw new RangeError(`truncate: ${size} is not within 0 and ${this.#size}`);
    }
    await this.#write(async () => {
      await this.#handle.truncate(size);
      this.#size = size;
    });
  }

  /** The bytes from `offset`, at most `length` of them; fewer where the file ends. @throws file.io */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.#size - offset)));
    return await withFile(this.path, async () => {
      let filled = 0;
      while (filled < bytes.length) {
        const rest = bytes.length - filled;
        const { bytesRead } = await this.#handle.read(bytes, filled, rest, offset + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return bytes.subarray(0, filled);
    });
  }

  /** Everything, in memory. @throws file.io */
  async readAll(): Promise<Uint8Array> {
    return await this.read(0, this.#size);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await withFile(this.path, () => this.#handle.close());
  }

  async #write(work: () => Promise<void>): Promise<void> {
    if (this.#isWriting) throw new TypeError(`AppendFile: a write to ${basename(this.path)} is under way`);
    this.#isWriting = true;
    try {
      await withFile(this.path, work);
    } finally {
      this.#isWriting = false;
    }
  }
}

async function openOrMake(path: string, create: boolean): Promise<{ handle: FileHandle; isNew: boolean }> {
  try {
    return { handle: await open(path, constants.O_RDWR | constants.O_NONBLOCK), isNew: false };
  } catch (failure) {
    if (!create || errnoOf(failure) !== "ENOENT") throw failure;
  }
  const flags = constants.O_RDWR | constants.O_CREAT;
  return { handle: await open(path, flags, PRIVATE_FILE_MODE), isNew: true };
}
