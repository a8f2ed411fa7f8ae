import { closeSync, constants, openSync } from "node:fs";
import { tryLock } from "fs-native-extensions";
import { isGatehouseError } from "../core/index.ts";
import { fileFailure } from "./failures.ts";

/**
 * Takes the lock of a file (made, 0600, when it is not there) until disposed of; undefined when somebody else has it, in this
 * process or another one. The system releases it when the process ends, however it ends. The file stays.
 *
 * @throws file.not-found when the directory is missing. @throws file.io
 */
export function tryLockFile(path: string): Disposable | undefined {
  return lock(path, constants.O_RDWR | constants.O_CREAT);
}

/** Whether somebody holds the lock of a file; nobody does when it is not there. @throws file.io */
export function isLocked(path: string): boolean {
  try {
    using own = lock(path, constants.O_RDWR);
    return own === undefined;
  } catch (failure) {
    if (isGatehouseError(failure, "file.not-found")) return false;
    throw failure;
  }
}

function lock(path: string, flags: number): Disposable | undefined {
  try {
    // A bare descriptor: a FileHandle, and the lock with it, would be closed by the garbage collector.
    const descriptor = openSync(path, flags, 0o600);
    if (tryLock(descriptor)) return held(descriptor);
    closeSync(descriptor);
    return undefined;
  } catch (failure) {
    throw fileFailure(failure, path);
  }
}

function held(descriptor: number): Disposable {
  let isHeld = true;
  return {
    [Symbol.dispose]: () => {
      if (isHeld) closeSync(descriptor);
      isHeld = false;
    },
  };
}
