import { type Clock, GatehouseError, LIMITS, type Logger, silentLogger, systemClock } from "../core/index.ts";
import { commandLine } from "./argv-prefix.ts";
import type { BoundCall } from "./bind.ts";
import { hasBubblewrap } from "./programs.ts";
import { checkRunnable } from "./runnable.ts";
import { Scrubber } from "./scrubber.ts";
import { toolEnvironment } from "./tool-environment.ts";
import type { ToolEvent } from "./tool-events.ts";
import { type PreparedRun, ToolRun } from "./tool-run.ts";

export interface ToolRunnerInput {
  /** The daemon's own. */
  readonly uid: number;
  /** The home and the key directory, absolute: no sandbox shows them. */
  readonly protectedDirs: readonly string[];
  readonly clock?: Clock;
  readonly logger?: Logger;
}

export interface RunOptions {
  /** By environment variable, exactly those that the tool declares; UTF-8 text without NUL. Borrowed until the first event. */
  readonly secrets: Readonly<Record<string, Uint8Array>>;
  readonly signal: AbortSignal;
  /** By `clock.monotonicMs()`; the tool's own timeout may end it before. */
  readonly deadlineMs: number;
  /** 16 to 128 of [A-Za-z0-9_-], random: what the tool leaves behind is found by it. */
  readonly callId: string;
  /**
   * Awaited when everything that can be refused has been, right before the tool starts: where the start is written down.
   * What it throws is thrown instead.
   */
  readonly commit?: () => Promise<void>;
}

/** Runs declared tools, each no more often at once than it may. Disposal kills those that run. */
export class ToolRunner implements AsyncDisposable {
  readonly #input: ToolRunnerInput;
  readonly #clock: Clock;
  readonly #running = new Map<ToolRun, string>();

  constructor(input: ToolRunnerInput) {
    this.#input = input;
    this.#clock = input.clock ?? systemClock;
  }

  /**
   * The run's events; it begins when the first is asked for, and goes at the pace of whoever reads them. Read it to its
   * end, or return early, which kills the tool.
   *
   * The first `next` throws GatehouseError `tool.busy`, `tool.unsafe`, `tool.not-startable`, `tool.secret-unfit`.
   */
  run(call: BoundCall, options: RunOptions): AsyncIterableIterator<ToolEvent> {
    const { tool } = call;
    const { callId, deadlineMs, signal, commit = () => Promise.resolve() } = options;
    const run: ToolRun = new ToolRun({
      prepare: () => this.#prepare(run, call, options),
      commit,
      ...{ outputBytesMax: tool.outputBytesMax, timeoutMs: tool.timeoutMs },
      ...{ deadlineMs, signal, clock: this.#clock },
      onLeft: (count) => this.#logger.warn("tool-left-processes", { tool: tool.name, callId, count }),
    });
    return run;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running.keys()].map((run) => run.return()));
  }

  get #logger(): Logger {
    return this.#input.logger ?? silentLogger;
  }

  /** Everything that can be refused is, before anything has happened. */
  #prepare(run: ToolRun, call: BoundCall, { secrets, callId }: RunOptions): PreparedRun {
    const { tool } = call;
    const { uid, protectedDirs } = this.#input;
    this.#refuseBusy(call);
    const account = checkRunnable(tool, { uid, hasBubblewrap: hasBubblewrap() });
    const start = {
      ...{ toolName: tool.name, callId, account, clock: this.#clock, directory: tool.directory },
      argv: commandLine(call, protectedDirs),
      environment: toolEnvironment(tool, secrets, callId),
      isSandboxed: tool.sandbox !== undefined,
    };
    const scrubber = new Scrubber(Object.values(secrets));
    this.#running.set(run, tool.name);
    const release = (): void => {
      scrubber[Symbol.dispose]();
      this.#running.delete(run);
    };
    return { start, scrubber, release };
  }

  #refuseBusy({ tool: { name, concurrency } }: BoundCall): void {
    const count = [...this.#running.values()].filter((other) => other === name).length;
    if (count < concurrency) return;
    throw new GatehouseError("tool.busy", `tool ${name} already runs as often as it may`, {
      ...{ hint: "try again when a run has ended", retryAfterMs: LIMITS.toolBusyRetryMs },
    });
  }
}
