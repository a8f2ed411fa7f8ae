import { basename } from "node:path";
import { GatehouseError } from "../../src/core/index.ts";
import { systemFiles, type VaultFiles } from "../../src/vault/index.ts";

type Operation = "append" | "sync" | "truncate" | "create" | "replace" | "remove";

/** The system's files, with failures where a test wants them, and a count of what was called. */
export class FaultyFiles implements VaultFiles {
  /** Operations that fail from now on, with the system's code. */
  readonly faults = new Map<Operation, string>();
  /** Write a part of what an append that fails was given. */
  writesHalf = false;
  readonly calls: string[] = [];
  readonly list = (dir: string) => systemFiles.list(dir);
  readonly read = (path: string) => systemFiles.read(path);

  async create(path: string, bytes: Uint8Array): Promise<void> {
    this.#enter("create", path);
    await systemFiles.create(path, bytes);
  }

  async replace(path: string, bytes: Uint8Array): Promise<void> {
    this.#enter("replace", path);
    await systemFiles.replace(path, bytes);
  }

  async remove(path: string): Promise<void> {
    this.#enter("remove", path);
    await systemFiles.remove(path);
  }

  async openAppend(path: string) {
    const file = await systemFiles.openAppend(path);
    return {
      get size() {
        return file.size;
      },
      append: async (bytes: Uint8Array) => {
        if (this.faults.has("append") && this.writesHalf) {
          await file.append(bytes.subarray(0, bytes.length / 2));
        }
        this.#enter("append", path);
        await file.append(bytes);
      },
      sync: async () => {
        this.#enter("sync", path);
        await file.sync();
      },
      truncate: async (sizeBytes: number) => {
        this.#enter("truncate", path);
        await file.truncate(sizeBytes);
      },
      [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
    };
  }

  countOf(operation: Operation): number {
    return this.calls.filter((call) => call.startsWith(`${operation} `)).length;
  }

  #enter(operation: Operation, path: string): void {
    this.calls.push(`${operation} ${basename(path)}`);
    const code = this.faults.get(operation);
    if (code === undefined) return;
    const cause = Object.assign(new Error(`${code}: injected`), { code });
    throw new GatehouseError("file.io", "injected failure", { cause });
  }
}
