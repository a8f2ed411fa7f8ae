import { openSync, readdirSync, readFileSync } from "node:fs";

const STANDARD_MAX = 2;
/** fcntl(2), as proc_pid_fdinfo(5) shows it, in octal digits. */
const CLOSE_ON_EXEC = 0o2000000;
/** A higher one would need a table of as many entries. */
const DESCRIPTOR_MAX = 4_095;

let nowhere: number | undefined;

/**
 * What `spawn` is told to put in the place of open files that we were given when we were started (a shell's, a service
 * manager's) and that every child would get: an opened directory among them would lead out of any sandbox. Node's own
 * close by themselves. The entries for a `stdio` array after the first three.
 */
export function maskInherited(): readonly (number | "ignore")[] {
  const inherited = descriptors().filter(
    (fd) => fd > STANDARD_MAX && fd <= DESCRIPTOR_MAX && isInherited(fd),
  );
  if (inherited.length === 0) return [];
  nowhere ??= openSync("/dev/null", "r+");
  const entries = Array.from<number | "ignore">({ length: Math.max(...inherited) - STANDARD_MAX }).fill(
    "ignore",
  );
  for (const fd of inherited) entries[fd - STANDARD_MAX - 1] = nowhere;
  return entries;
}

function descriptors(): readonly number[] {
  try {
    return readdirSync("/proc/self/fd").map(Number);
  } catch {
    return [];
  }
}

function isInherited(fd: number): boolean {
  try {
    const [, flags = ""] = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8")) ?? [];
    return (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0;
  } catch {
    return false;
  }
}
