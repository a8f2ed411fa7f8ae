import { basename, dirname } from "node:path";
import { setImmediate } from "node:timers/promises";
import { concat, GatehouseError } from "../../src/core/index.ts";
import type { AppendHandle, VaultFiles } from "../../src/vault/index.ts";

/** What becomes of bytes that were written and not synced when power fails. */
export type Unsynced = "gone" | "half" | "there";

/** How writes fail. `full`: a part is written, then ENOSPC. `failing`: all is written, and the sync says EIO. */
export type Fault = "full" | "failing";

interface Kept {
  readonly bytes: Uint8Array;
  /** What is on the disk for sure. */
  readonly synced: Uint8Array | undefined;
}

/** A disk that knows what of it would survive a power loss. */
export class MemoryDisk implements VaultFiles {
  readonly #files = new Map<string, Kept>();
  fault: Fault | undefined;

  /** Whole files, all of them durable. */
  static of(files: ReadonlyMap<string, Uint8Array>): MemoryDisk {
    const disk = new MemoryDisk();
    for (const [path, bytes] of files) disk.#files.set(path, { bytes, synced: bytes });
    return disk;
  }

  /** Files as whoever reads now finds them. */
  get contents(): ReadonlyMap<string, Uint8Array> {
    return new Map([...this.#files].map(([path, { bytes }]) => [path, bytes.slice()]));
  }

  /** The disk after a power loss at this moment. */
  afterPowerLoss(unsynced: Unsynced): MemoryDisk {
    const left = [...this.#files].flatMap(([path, kept]) => {
      const bytes = survivingBytes(kept, unsynced);
      return bytes === undefined ? [] : [[path, bytes] as const];
    });
    return MemoryDisk.of(new Map(left));
  }

  async list(dir: string): Promise<readonly string[]> {
    await setImmediate();
    return [...this.#files.keys()].filter((path) => dirname(path) === dir).map((path) => basename(path));
  }

  async read(path: string): Promise<Uint8Array> {
    await setImmediate();
    return this.#at(path).bytes.slice();
  }

  async create(path: string, bytes: Uint8Array): Promise<void> {
    if (this.#files.has(path)) throw new GatehouseError("file.exists", `${basename(path)} exists already`);
    await this.replace(path, bytes);
  }

  async replace(path: string, bytes: Uint8Array): Promise<void> {
    await setImmediate();
    if (this.fault === "full") throw injected("ENOSPC");
    const fresh = bytes.slice();
    this.#files.set(path, { bytes: fresh, synced: this.#files.get(path)?.synced });
    await setImmediate();
    if (this.fault === "failing") throw injected("EIO");
    this.#files.set(path, { bytes: fresh, synced: fresh });
  }

  async remove(path: string): Promise<void> {
    await setImmediate();
    if (this.fault === "failing") throw injected("EIO");
    this.#files.delete(path);
  }

  async openAppend(path: string): Promise<AppendHandle> {
    await setImmediate();
    let size = this.#at(path).bytes.length;
    return {
      get size() {
        return size;
      },
      append: async (bytes) => {
        await setImmediate();
        const { bytes: before, synced } = this.#at(path);
        const written = this.fault === "full" ? bytes.subarray(0, bytes.length / 2) : bytes;
        this.#files.set(path, { bytes: concat(before, written), synced });
        if (this.fault === "full") throw injected("ENOSPC");
        size += bytes.length;
      },
      truncate: async (sizeBytes) => {
        await setImmediate();
        const { bytes, synced } = this.#at(path);
        this.#files.set(path, { bytes: bytes.slice(0, sizeBytes), synced });
        size = sizeBytes;
      },
      sync: async () => {
        await setImmediate();
        if (this.fault === "failing") throw injected("EIO");
        const { bytes } = this.#at(path);
        this.#files.set(path, { bytes, synced: bytes });
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  #at(path: string): Kept {
    const kept = this.#files.get(path);
    if (kept === undefined) throw new GatehouseError("file.not-found", `${basename(path)} is not there`);
    return kept;
  }
}

/** What was appended survives up to any byte; a file that was replaced is the old one or the new one. */
function survivingBytes({ bytes, synced }: Kept, unsynced: Unsynced): Uint8Array | undefined {
  if (unsynced === "there") return bytes;
  if (unsynced === "gone" || synced === undefined) return synced;
  const isAppended = synced.every((byte, index) => bytes[index] === byte);
  return isAppended ? bytes.slice(0, synced.length + Math.floor((bytes.length - synced.length) / 2)) : synced;
}

function injected(code: string): GatehouseError<"file.io"> {
  const cause = Object.assign(new Error(`${code}: injected`), { code });
  return new GatehouseError("file.io", "injected failure", { cause });
}
