/** The watchdog's thread: looks at the main thread's heartbeat, and ends the process when it has stopped. */
import process from "node:process";
import { parentPort, workerData } from "node:worker_threads";
import { systemClock } from "../core/index.ts";
import type { WatchdogTask } from "./watchdog.ts";
import { FreezeJudge } from "./watchdog-judge.ts";
import { lookAt } from "./watchdog-memory.ts";
import { appendNote } from "./watchdog-note.ts";

const { memory, silenceMs, tickMs, notesFile, parentPid } = workerData as WatchdogTask;
const judge = new FreezeJudge({ silenceMs, tickMs, nowMs: systemClock.monotonicMs() });
let orphanTicks = 0;

setInterval(() => {
  const { isFrozen, silentMs, device } = judge.look(systemClock.monotonicMs(), lookAt(memory));
  if (isFrozen) {
    try {
      appendNote(notesFile, { device, at: systemClock.now(), silentMs });
    } finally {
      end();
    }
  }
  if (isOrphan()) end();
}, tickMs);
parentPort?.postMessage("watching");

/** The main thread hears of its supervisor's end too, and leaves in order; this is for when it does not get there. */
function isOrphan(): boolean {
  orphanTicks = parentPid === undefined || process.ppid === parentPid ? 0 : orphanTicks + 1;
  return orphanTicks * tickMs > silenceMs;
}

function end(): void {
  process.kill(process.pid, "SIGKILL");
}
