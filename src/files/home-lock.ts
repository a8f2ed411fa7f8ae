import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { pid } from "node:process";
import { tryLock } from "fs-native-extensions";
import { GatehouseError } from "../core/index.ts";
import { fileFailure } from "./failures.ts";

/**
 * Takes the home's one lock, which the system releases when this process ends, however it ends. The file itself
 * stays and names the last holder: removing it would let two processes lock two files of one name.
 *
 * @throws home.in-use naming the holder's process id. @throws file.not-found, file.io
 */
export function lockHome(lockFile: string): Promise<AsyncDisposable> {
  try {
    return Promise.resolve(lock(lockFile));
  } catch (failure) {
    return Promise.reject(fileFailure(failure, lockFile));
  }
}

function lock(lockFile: string): AsyncDisposable {
  // A bare descriptor: a FileHandle, and the lock with it, would be closed by the garbage collector.
  const descriptor = openSync(lockFile, constants.O_RDWR | constants.O_CREAT, 0o600);
  try {
    if (!tryLock(descriptor)) throw inUse(lockFile);
    ftruncateSync(descriptor);
    writeSync(descriptor, `${pid}\n`, 0);
  } catch (failure) {
    closeSync(descriptor);
    throw failure;
  }
  return held(descriptor);
}

function held(descriptor: number): AsyncDisposable {
  let isHeld = true;
  return {
    [Symbol.asyncDispose]: () => {
      if (isHeld) closeSync(descriptor);
      isHeld = false;
      return Promise.resolve();
    },
  };
}

function inUse(lockFile: string): GatehouseError {
  const holder = /^[1-9][0-9]{0,9}\n$/.exec(readFileSync(lockFile, "latin1"))?.[0].trim();
  const who = holder === undefined ? "another process" : `process ${holder}`;
  return new GatehouseError("home.in-use", `${who} is using this home`, {
    hint: "stop that daemon, or choose another directory with --home",
  });
}
