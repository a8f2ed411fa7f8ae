/** What only the kernel knows; Linux only, 0 elsewhere. */
import { readFile } from "node:fs/promises";

/** Resident memory of a process, KiB. */
export async function residentKiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
}

/** Datagrams that found the buffer of the socket on 127.0.0.1:`port` full: its process never saw them. */
export async function droppedByKernel(port: number): Promise<number> {
  const sockets = await readFile("/proc/net/udp", "utf8").catch(() => "");
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const line = sockets.split("\n").find((row) => row.includes(`${local} 00000000`));
  return Number(line?.trim().split(/\s+/).at(-1) ?? 0);
}
