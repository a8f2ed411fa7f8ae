import { Worker } from "node:worker_threads";
import { type Random, systemRandom } from "../core/index.ts";
import { type Checkpointer, makeSnapshot } from "./checkpoint.ts";
import type { JournalPosition } from "./storage-keys.ts";
import { systemFiles, type VaultFiles } from "./vault-files.ts";

/** Makes snapshots in a thread of its own, so that the door never waits for one. `url` is the thread's module. */
export function threadCheckpointer(
  url = new URL("../vault/checkpoint-worker.js", import.meta.url),
): Checkpointer {
  return (task) =>
    new Promise<JournalPosition>((resolve, reject) => {
      const worker = new Worker(url, { workerData: task, name: "vault-checkpoint" });
      worker.once("message", resolve);
      worker.once("error", reject);
      // After a message or an error this changes nothing.
      worker.once("exit", (code) => reject(new Error(`the checkpoint's thread ended with ${code}`)));
    });
}

/** Makes snapshots right here: for sources run without a loader for threads, and for other files than the system's. */
export function localCheckpointer(
  context: { readonly files: VaultFiles; readonly random: Random } = {
    files: systemFiles,
    random: systemRandom,
  },
): Checkpointer {
  return (task) => makeSnapshot(task, context);
}

/** A thread when running compiled; threads cannot load TypeScript. */
export const defaultCheckpointer: Checkpointer = import.meta.url.endsWith(".js")
  ? threadCheckpointer()
  : localCheckpointer();
