/** The watchdog's thread: looks at the main thread's heartbeat, and ends the process when it has stopped. */
import process from "node:process";
import { parentPort, workerData } from "node:worker_threads";
import { systemClock } from "../core/index.ts";
import type { WatchdogTask } from "./watchdog.ts";
import { FreezeJudge } from "./watchdog-judge.ts";
import { lookAt } from "./watchdog-memory.ts";
import { appendNote, type FreezeNote } from "./watchdog-note.ts";

const { memory, silenceMs, tickMs, notesFile, parentPid } = workerData as WatchdogTask;
const judge = new FreezeJudge({ silenceMs, tickMs, nowMs: systemClock.monotonicMs() });
let orphanTicks = 0;
let isNoted = false;

setInterval(() => {
  const { isFrozen, silentMs, device } = judge.look(systemClock.monotonicMs(), lookAt(memory));
  if (isFrozen) {
    if (!isNoted) note({ device, at: systemClock.now(), silentMs });
    end();
  }
  if (isOrphan()) end();
}, tickMs);
parentPort?.postMessage("watching");

/** Once: a process that should outlast its end must not be counted as freezing again and again. */
function note(freeze: FreezeNote): void {
  isNoted = true;
  try {
    appendNote(notesFile, freeze);
  } catch {
    // A disk that takes no note must not keep the door shut as well.
  }
}

/** The main thread hears of its supervisor's end too, and leaves in order; this is for when it does not get there. */
function isOrphan(): boolean {
  orphanTicks = parentPid === undefined || process.ppid === parentPid ? 0 : orphanTicks + 1;
  return orphanTicks * tickMs > silenceMs;
}

function end(): void {
  process.kill(process.pid, "SIGKILL");
}
