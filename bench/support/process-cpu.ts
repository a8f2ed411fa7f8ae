import { readdir, readFile } from "node:fs/promises";

/**
 * CPU time that the living threads of a process have used, microseconds; undefined where `/proc` has none of it.
 * Less noisy than any clock: what others do on the machine is not counted.
 */
export async function cpuMicros(pid: number): Promise<number | undefined> {
  try {
    const threads = await readdir(`/proc/${pid}/task`);
    const lines = await Promise.all(
      threads.map((id) => readFile(`/proc/${pid}/task/${id}/schedstat`, "utf8")),
    );
    // The first field of each is nanoseconds on a CPU.
    return lines.reduce((sum, line) => sum + Number.parseInt(line, 10), 0) / 1_000;
  } catch {
    return undefined;
  }
}
