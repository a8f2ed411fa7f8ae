import { basename, dirname } from "node:path";
import { setImmediate } from "node:timers/promises";
import { concat, GatehouseError } from "../../src/core/index.ts";
import type { AppendHandle, VaultFiles } from "../../src/vault/index.ts";

/** What becomes of bytes that were written and not synced when power fails. */
export type Unsynced = "gone" | "half" | "there";

/** How writes fail. `full`: a part is written, then ENOSPC. `failing`: all is done, and what would make it sure says EIO. */
export type Fault = "full" | "failing";

/** Which operations fail: so many, after so many that do not. */
export interface FaultRun {
  readonly fault: Fault;
  readonly after: number;
  readonly count: number;
}

interface Kept {
  /** `undefined`: removed. */
  readonly bytes: Uint8Array | undefined;
  /** What is on the disk for sure. */
  readonly synced: Uint8Array | undefined;
}

/** A disk that knows what of it would survive a power loss. */
export class MemoryDisk implements VaultFiles {
  readonly #files = new Map<string, Kept>();
  #faults: FaultRun | undefined;
  #operations = 0;

  /** Whole files, all of them durable. */
  static of(files: ReadonlyMap<string, Uint8Array>): MemoryDisk {
    const disk = new MemoryDisk();
    for (const [path, bytes] of files) disk.#files.set(path, { bytes, synced: bytes });
    return disk;
  }

  /** From now on; `undefined`: none does any more. */
  break(faults: FaultRun | undefined): void {
    this.#faults = faults;
    this.#operations = 0;
  }

  /** Files as whoever reads now finds them. */
  get contents(): ReadonlyMap<string, Uint8Array> {
    const there = [...this.#files].flatMap(([path, { bytes }]) =>
      bytes === undefined ? [] : [[path, bytes.slice()] as const],
    );
    return new Map(there);
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
    return [...this.contents.keys()].filter((path) => dirname(path) === dir).map((path) => basename(path));
  }

  async read(path: string): Promise<Uint8Array> {
    await setImmediate();
    return this.#bytesAt(path).slice();
  }

  async create(path: string, bytes: Uint8Array): Promise<void> {
    if (this.contents.has(path)) throw new GatehouseError("file.exists", `${basename(path)} exists already`);
    await this.replace(path, bytes);
  }

  async replace(path: string, bytes: Uint8Array): Promise<void> {
    await setImmediate();
    const fault = this.#nextFault();
    if (fault === "full") throw injected("ENOSPC");
    const fresh = bytes.slice();
    this.#files.set(path, { bytes: fresh, synced: this.#files.get(path)?.synced });
    await setImmediate();
    if (fault === "failing") throw injected("EIO");
    this.#files.set(path, { bytes: fresh, synced: fresh });
  }

  async remove(path: string): Promise<void> {
    await setImmediate();
    const fault = this.#nextFault();
    this.#files.set(path, { bytes: undefined, synced: this.#files.get(path)?.synced });
    await setImmediate();
    if (fault === "failing") throw injected("EIO");
    this.#files.delete(path);
  }

  async openAppend(path: string): Promise<AppendHandle> {
    await setImmediate();
    let size = this.#bytesAt(path).length;
    return {
      get size() {
        return size;
      },
      append: async (bytes) => {
        await setImmediate();
        const [before, synced] = [this.#bytesAt(path), this.#files.get(path)?.synced];
        const fault = this.#nextFault();
        const written = fault === "full" ? bytes.subarray(0, bytes.length / 2) : bytes;
        this.#files.set(path, { bytes: concat(before, written), synced });
        if (fault === "full") throw injected("ENOSPC");
        size += bytes.length;
      },
      truncate: async (sizeBytes) => {
        await setImmediate();
        const [bytes, synced] = [this.#bytesAt(path), this.#files.get(path)?.synced];
        this.#files.set(path, { bytes: bytes.slice(0, sizeBytes), synced });
        if (this.#nextFault() === "failing") throw injected("EIO");
        size = sizeBytes;
      },
      sync: async () => {
        await setImmediate();
        if (this.#nextFault() === "failing") throw injected("EIO");
        const bytes = this.#bytesAt(path);
        this.#files.set(path, { bytes, synced: bytes });
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  #nextFault(): Fault | undefined {
    const { after, count, fault } = this.#faults ?? { after: 0, count: 0, fault: undefined };
    const index = this.#operations;
    this.#operations += 1;
    return index >= after && index < after + count ? fault : undefined;
  }

  #bytesAt(path: string): Uint8Array {
    const bytes = this.#files.get(path)?.bytes;
    if (bytes === undefined) throw new GatehouseError("file.not-found", `${basename(path)} is not there`);
    return bytes;
  }
}

/** What was appended survives up to any byte; a file that was replaced or removed is there as before, or is not. */
function survivingBytes({ bytes, synced }: Kept, unsynced: Unsynced): Uint8Array | undefined {
  if (unsynced === "there") return bytes;
  if (unsynced === "gone" || synced === undefined || bytes === undefined) return synced;
  const isAppended = synced.every((byte, index) => bytes[index] === byte);
  return isAppended ? bytes.slice(0, synced.length + Math.floor((bytes.length - synced.length) / 2)) : synced;
}

function injected(code: string): GatehouseError<"file.io"> {
  const cause = Object.assign(new Error(`${code}: injected`), { code });
  return new GatehouseError("file.io", "injected failure", { cause });
}
