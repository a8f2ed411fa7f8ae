/**
 * Every call that changes a folder's files, as the system's own functions were asked for it, while `work` runs. A write, a new
 * length or a name counts as being on the disk for sure once a sync of its file (of its folder, for a name) was asked for
 * after it was done, and has answered.
 */
import { type PathLike, promises } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { dirname, sep } from "node:path";

/** `file` is what stays the same when names change; `path` is within the folder. */
export type Change =
  | { readonly kind: "write"; readonly file: number; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: "length"; readonly file: number; readonly sizeBytes: number }
  /** Made, linked, or renamed when there is a `from`. */
  | { readonly kind: "name"; readonly path: string; readonly file: number; readonly from?: string }
  | { readonly kind: "no-name"; readonly path: string };

export type Entry<Note> =
  | Change
  /** Covers what was done before entry `through`. */
  | { readonly kind: "sync"; readonly file: number; readonly through: number }
  | { readonly kind: "sync-folder"; readonly path: string; readonly through: number }
  | { readonly kind: "note"; readonly note: Note };

export interface Recording<Note> {
  /** What lay there before, by path, for sure; their numbers are their places in order, from 0. */
  readonly base: ReadonlyMap<string, Uint8Array>;
  readonly entries: readonly Entry<Note>[];
}

/**
 * Calls outside of `root` are left alone. One at a time in a process; `base` is what lies in `root` now.
 * @throws TypeError when a file is written in a way that is not understood.
 */
export async function record<Note>(
  root: string,
  base: ReadonlyMap<string, Uint8Array>,
  work: (note: (note: Note) => void) => Promise<void>,
): Promise<Recording<Note>> {
  const recorder = new Recorder<Note>(root, base);
  const { open, rename, link, unlink } = promises;
  const real = { open, rename, link, unlink };
  Object.assign(promises, recorder.replacements(real));
  syncBuiltinESMExports();
  try {
    await work((note) => recorder.entries.push({ kind: "note", note }));
  } finally {
    Object.assign(promises, real);
    syncBuiltinESMExports();
  }
  return { base, entries: recorder.entries };
}

type Calls = Pick<typeof promises, "open" | "rename" | "link" | "unlink">;

class Recorder<Note> {
  readonly entries: Entry<Note>[] = [];
  readonly #root: string;
  readonly #files = new Map<string, number>();
  #count = 0;

  constructor(root: string, base: ReadonlyMap<string, Uint8Array>) {
    this.#root = root + sep;
    for (const path of base.keys()) this.#files.set(path, this.#count++);
  }

  replacements(real: Calls): Calls {
    return {
      open: async (path, flags, mode) => {
        const handle = await real.open(path, flags, mode);
        const inside = this.#within(path);
        return inside === undefined ? handle : await this.#opened(inside, handle);
      },
      rename: async (from, to) => {
        await real.rename(from, to);
        const [before, path] = [this.#within(from), this.#within(to)];
        if (before === undefined || path === undefined) return;
        const file = this.#fileAt(before);
        this.#files.delete(before);
        this.#named(path, file, before);
      },
      link: async (existing, path) => {
        await real.link(existing, path);
        const [from, to] = [this.#within(existing), this.#within(path)];
        if (from !== undefined && to !== undefined) this.#named(to, this.#fileAt(from));
      },
      unlink: async (path) => {
        await real.unlink(path);
        const inside = this.#within(path);
        if (inside === undefined) return;
        this.#files.delete(inside);
        this.entries.push({ kind: "no-name", path: inside });
      },
    };
  }

  #within(path: PathLike): string | undefined {
    return typeof path === "string" && path.startsWith(this.#root)
      ? path.slice(this.#root.length)
      : undefined;
  }

  #fileAt(path: string): number {
    const file = this.#files.get(path);
    if (file === undefined) throw new TypeError(`recorder: ${path} came from nowhere`);
    return file;
  }

  #named(path: string, file: number, from?: string): void {
    this.#files.set(path, file);
    this.entries.push({ kind: "name", path, file, ...(from === undefined ? {} : { from }) });
  }

  async #opened(path: string, handle: FileHandle): Promise<FileHandle> {
    if ((await handle.stat()).isDirectory()) {
      return replaced(handle, {
        sync: this.#syncing(handle, (through) => ({ kind: "sync-folder", path, through })),
      });
    }
    if (!this.#files.has(path)) this.#named(path, this.#count++);
    const file = this.#fileAt(path);
    const synced = (through: number): Entry<Note> => ({ kind: "sync", file, through });
    return replaced(handle, {
      sync: this.#syncing(handle, synced),
      datasync: this.#syncing(handle, synced),
      write: async (bytes: Uint8Array, start: number, length: number, offset: number) => {
        if (![start, length, offset].every(Number.isInteger))
          throw new TypeError("recorder: write without a place");
        const result = await handle.write(bytes, start, length, offset);
        const written = bytes.slice(start, start + result.bytesWritten);
        this.entries.push({ kind: "write", file, offset, bytes: written });
        return result;
      },
      writeFile: async (bytes: Uint8Array) => {
        if ((await handle.stat()).size > 0) throw new TypeError("recorder: a file is written anew");
        await handle.writeFile(bytes);
        this.entries.push({ kind: "write", file, offset: 0, bytes: bytes.slice() });
      },
      truncate: async (sizeBytes: number) => {
        await handle.truncate(sizeBytes);
        this.entries.push({ kind: "length", file, sizeBytes });
      },
      appendFile: () => Promise.reject(new TypeError("recorder: appendFile")),
      writev: () => Promise.reject(new TypeError("recorder: writev")),
    });
  }

  #syncing(handle: FileHandle, entry: (through: number) => Entry<Note>): () => Promise<void> {
    return async () => {
      const through = this.entries.length;
      await handle.sync();
      this.entries.push(entry(through));
    };
  }
}

/** The handle with other methods in place of its own. */
function replaced(handle: FileHandle, methods: Readonly<Record<string, unknown>>): FileHandle {
  return new Proxy(handle, {
    get(target, name) {
      const method: unknown =
        typeof name === "string" && name in methods ? methods[name] : Reflect.get(target, name);
      // The handle's own methods look into private fields, which the proxy has not.
      return typeof method === "function" ? method.bind(target) : method;
    },
  });
}

/** Of a change, for the sync that makes it sure: a file's number, or a folder's path. */
export function placeOf(change: Change): number | string {
  return change.kind === "write" || change.kind === "length" ? change.file : dirname(change.path);
}
