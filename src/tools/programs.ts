import { accessSync, constants, statSync } from "node:fs";

/** Where the system keeps programs; the daemon's own PATH may lead to where others write. */
const FOLDERS = ["/usr/bin", "/bin", "/usr/local/bin", "/run/current-system/sw/bin"];

/** The full path of a helper of ours, when the machine has it. */
export function findProgram(name: "bwrap" | "prlimit"): string | undefined {
  return FOLDERS.map((folder) => `${folder}/${name}`).find(isProgram);
}

/** Whether this machine can run tools in bubblewrap's sandbox. */
export function hasBubblewrap(): boolean {
  return findProgram("bwrap") !== undefined;
}

export function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
