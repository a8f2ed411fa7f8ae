import { parentPort, workerData } from "node:worker_threads";
import { systemRandom } from "../core/index.ts";
import { type CheckpointTask, makeSnapshot } from "./checkpoint.ts";
import { systemFiles } from "./vault-files.ts";

/** A worker thread's whole life: one snapshot, its position posted back. A failure ends the thread with it. */
const task = workerData as CheckpointTask;

parentPort?.postMessage(await makeSnapshot(task, { files: systemFiles, random: systemRandom }));
