import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";

/** Of proc_pid_stat(5). */
export interface ProcessStatus {
  readonly pid: number;
  readonly isDead: boolean;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** In clock ticks since boot: with the pid, who it is. */
  readonly startTicks: number;
}

/** Of all processes; nothing without a /proc, which is Linux's. */
export function processIds(): readonly number[] {
  return namesIn("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}

/** Of the process that was started last, of all; 0 when nobody knows. A hundred times as fast as asking for all ids. */
export function newestProcessId(): number {
  try {
    // proc_loadavg(5).
    return Number(readFileSync("/proc/loadavg", "latin1").trimEnd().split(" ").at(-1));
  } catch {
    return 0;
  }
}

/** The name in brackets may hold anything, brackets too. `undefined` for who is gone. */
export function statusOf(pid: number): ProcessStatus | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state = "", ...rest] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const [parent = 0, group = 0, session = 0] = rest.map(Number);
    return { pid, isDead: /[ZX]/i.test(state), parent, group, session, startTicks: Number(rest[18]) };
  } catch {
    return undefined;
  }
}

/** The user that it runs as. */
export function ownerOf(pid: number): number | undefined {
  try {
    return statSync(`/proc/${pid}`).uid;
  } catch {
    return undefined;
  }
}

/**
 * Whether `entry` stands in its environment; `empty` when nothing does, as while it turns into another program. What
 * others keep there is wiped when it has been looked at.
 */
export function lookInEnvironment(pid: number, entry: string): "there" | "absent" | "empty" {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`);
    const isFirst = environment.subarray(0, entry.length + 1).equals(Buffer.from(`${entry}\0`));
    const isThere = isFirst || environment.includes(`\0${entry}\0`);
    environment.fill(0);
    if (environment.length === 0) return "empty";
    return isThere ? "there" : "absent";
  } catch {
    // It is gone, or another user's that we may not look at.
    return "absent";
  }
}

/** What a file that it has open is called, such as `socket:[4711]`. */
export function openFileOf(pid: number, descriptor: number | string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/fd/${descriptor}`);
  } catch {
    return undefined;
  }
}

/** Of the first `countMax` that it has open, any. */
export function hasOpen(pid: number, files: ReadonlySet<string>, countMax: number): boolean {
  return namesIn(`/proc/${pid}/fd`)
    .slice(0, countMax)
    .some((descriptor) => files.has(openFileOf(pid, descriptor) ?? ""));
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
