import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FirstRead, Pause, Rate, VaultRequest } from "./vault-process.ts";
import { WorkerProcess } from "./worker-process.ts";

interface Answers {
  readonly puts: Rate;
  readonly reads: Rate;
  readonly "reads-once": Rate;
  readonly pause: Pause;
  readonly "first-read": FirstRead;
  readonly open: object;
  readonly close: object;
  readonly fill: object;
  readonly checkpoint: object;
}

/** A process that holds one contender's store. */
export class StoreWorker implements AsyncDisposable {
  readonly #worker = WorkerProcess.start(new URL("vault-process.ts", import.meta.url));

  async ask<Request extends VaultRequest>(request: Request): Promise<Answers[Request["kind"]]> {
    return (await this.#worker.ask(request)) as Answers[Request["kind"]];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker[Symbol.asyncDispose]();
  }
}

/** A folder of this run's own, in `TMPDIR`: on that disk everything is measured. */
export class ScratchFolder implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<ScratchFolder> {
    return new ScratchFolder(await mkdtemp(join(tmpdir(), "gatehouse-bench-vault-")));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true });
  }
}

/** Bytes of all files in a folder and below. */
export async function folderBytes(path: string): Promise<number> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map(async ({ parentPath, name }) => stat(join(parentPath, name))));
  return sizes.reduce((sum, { size }) => sum + size, 0);
}
