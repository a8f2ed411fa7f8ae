import { closeSync, constants, openSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { tryLock } from "fs-native-extensions";
import { GatehouseError } from "../core/index.ts";
import { fileFailure } from "./failures.ts";

const RETRY_MS = 10;
/** Whoever holds it reads and writes a small file. */
const PATIENCE_MS = 5_000;

/**
 * Runs `work` while no other process, and nobody else in this one, does so under the same lock file: for a file that is
 * read, changed and written back. The system releases the lock when this process ends, however it ends; the file stays.
 *
 * @throws file.io when the lock cannot be had within five seconds, or its file not be made; whatever `work` throws.
 */
export async function withUpdateLock<Result>(lockFile: string, work: () => Promise<Result>): Promise<Result> {
  const descriptor = openLock(lockFile);
  try {
    for (let waitedMs = 0; !tryLock(descriptor); waitedMs += RETRY_MS) {
      if (waitedMs >= PATIENCE_MS)
        throw new GatehouseError("file.io", `another process keeps ${lockFile} locked`);
      await sleep(RETRY_MS);
    }
    return await work();
  } finally {
    closeSync(descriptor);
  }
}

function openLock(lockFile: string): number {
  try {
    return openSync(lockFile, constants.O_RDWR | constants.O_CREAT, 0o600);
  } catch (failure) {
    throw fileFailure(failure, lockFile);
  }
}
