import { Worker } from "node:worker_threads";
import { type Clock, LIMITS, type Logger } from "../core/index.ts";
import type { DoorConnection } from "./door-connection.ts";
import { createWatchdogMemory, Spotlight } from "./watchdog-memory.ts";

export interface WatchdogOptions {
  /** Silence of the main thread after which the process is ended; `LIMITS.watchdogSilenceMs` by default. */
  readonly silenceMs?: number;
  /** The process that started this one to restart it: this one does not outlive it by more than `silenceMs`. */
  readonly parentPid?: number;
  /** The thread's module; for sources, which threads load through a loader only. */
  readonly worker?: URL;
}

/** What the thread is told. */
export interface WatchdogTask {
  readonly memory: SharedArrayBuffer;
  readonly silenceMs: number;
  readonly tickMs: number;
  readonly notesFile: string;
  readonly parentPid: number | undefined;
}

/** Looks and beats in one silence: enough to see it end in time, few enough to cost nothing. */
const LOOKS_PER_SILENCE = 20;
const BEATS_PER_SILENCE = 5;

/**
 * A thread that ends this process when the main thread shows no life, and leaves a note of whose connection was being
 * handled: some packets of an admitted device can make the native library loop for ever, and then nothing in the main
 * thread runs that could do it.
 */
export class Watchdog implements AsyncDisposable {
  readonly spotlight: Spotlight<DoorConnection>;
  readonly #worker: Worker;
  readonly #beatMs: number;
  readonly #clock: Clock;
  #beat: Disposable | undefined;
  #isClosed = false;

  private constructor(worker: Worker, memory: SharedArrayBuffer, clock: Clock, silenceMs: number) {
    this.spotlight = new Spotlight(memory);
    this.#worker = worker;
    this.#clock = clock;
    this.#beatMs = Math.min(LIMITS.watchdogBeatMs, silenceMs / BEATS_PER_SILENCE);
  }

  /** Watches from the moment it answers until disposed. @throws what kept the thread from starting. */
  static async start(
    options: WatchdogOptions & { readonly notesFile: string; readonly clock: Clock; readonly logger: Logger },
  ): Promise<Watchdog> {
    const { silenceMs = LIMITS.watchdogSilenceMs, parentPid, notesFile, clock, logger } = options;
    const memory = createWatchdogMemory();
    const tickMs = silenceMs / LOOKS_PER_SILENCE;
    const workerData: WatchdogTask = { memory, silenceMs, tickMs, notesFile, parentPid };
    const url = options.worker ?? new URL("../daemon/watchdog-worker.js", import.meta.url);
    const worker = new Worker(url, { workerData, name: "watchdog", env: {}, argv: [] });
    await started(worker);
    worker.unref();
    const watchdog = new Watchdog(worker, memory, clock, silenceMs);
    watchdog.#live(logger);
    return watchdog;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#beat?.[Symbol.dispose]();
    await this.#worker.terminate();
  }

  #live(logger: Logger): void {
    const fell = (error: string): void => {
      if (!this.#isClosed) logger.error("watchdog-ended", { error });
    };
    this.#worker.on("error", (error) => fell(error instanceof Error ? error.message : "unknown"));
    this.#worker.on("exit", (code) => fell(`its thread ended with ${code}`));
    this.#goOn();
  }

  #goOn(): void {
    this.spotlight.beat();
    this.#beat = this.#clock.setTimer(this.#beatMs, () => this.#goOn());
  }
}

function started(worker: Worker): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.once("message", () => resolve());
    worker.once("error", reject);
    worker.once("exit", (code) => reject(new Error(`the watchdog's thread ended with ${code}`)));
  });
}
