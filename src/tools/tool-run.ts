import { Bell, type Clock, LIMITS } from "../core/index.ts";
import type { Scrubber } from "./scrubber.ts";
import type { ToolEndReason, ToolEvent } from "./tool-events.ts";
import { ToolOutput } from "./tool-output.ts";
import { ToolProcess, type ToolStart } from "./tool-process.ts";

export interface ToolRunInput {
  /** Called once, at the first event. */
  readonly prepare: () => PreparedRun;
  /** Awaited after it, right before the tool starts; what it throws is thrown instead. */
  readonly commit: () => Promise<void>;
  readonly outputBytesMax: number;
  readonly timeoutMs: number;
  /** By `clock.monotonicMs()`. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** So many processes could not be killed. */
  readonly onLeft: (count: number) => void;
}

export interface PreparedRun {
  /** Not kept: its environment holds secrets. */
  readonly start: ToolStart;
  readonly scrubber: Scrubber;
  /** Called when nothing is left of the run; more than once is as good. */
  readonly release: () => void;
}

/**
 * One run of a tool, as its events. Nothing happens before the first is asked for. The tool is killed at the deadline,
 * by the signal, above the output limit and when the reader returns early, whether or not somebody reads.
 */
export class ToolRun implements AsyncIterableIterator<ToolEvent> {
  readonly #input: ToolRunInput;
  readonly #events: AsyncGenerator<ToolEvent, undefined>;
  readonly #bell = new Bell();
  #process: ToolProcess | undefined;
  #output: ToolOutput | undefined;
  #reason: ToolEndReason | undefined;
  #lingerMs: number = LIMITS.toolLingerMs;

  constructor(input: ToolRunInput) {
    this.#input = input;
    this.#events = this.#run();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<ToolEvent, undefined>> {
    return this.#events.next();
  }

  /** Kills the tool, also while a `next` waits; resolves when nothing is left of it. */
  async return(): Promise<IteratorResult<ToolEvent, undefined>> {
    this.#stop("cancelled");
    this.#output?.discard();
    return await this.#events.return(undefined);
  }

  async *#run(): AsyncGenerator<ToolEvent, undefined> {
    const { signal, clock, timeoutMs } = this.#input;
    const beganMs = clock.monotonicMs();
    const deadlineMs = Math.min(this.#input.deadlineMs, beganMs + timeoutMs);
    const overBefore = signal.aborted ? "cancelled" : deadlineMs <= beganMs ? "timeout" : undefined;
    if (overBefore !== undefined) {
      yield { kind: "ended", reason: overBefore, durationMs: 0, truncated: false };
      return undefined;
    }
    const onAbort = (): void => this.#stop("cancelled");
    signal.addEventListener("abort", onAbort, { once: true });
    using _deadline = clock.setTimer(deadlineMs - beganMs, () => this.#stop("timeout"));
    try {
      yield* this.#runProcess(beganMs);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
    return undefined;
  }

  async *#runProcess(beganMs: number): AsyncGenerator<ToolEvent> {
    const launched = await this.#launch();
    if (launched === undefined) {
      yield { kind: "ended", reason: this.#reason ?? "cancelled", durationMs: 0, truncated: false };
      return;
    }
    const { process, scrubber, release } = launched;
    const { stdout, stderr } = process;
    const bytesMax = this.#input.outputBytesMax;
    const output = new ToolOutput({ stdout, stderr, scrubber, bytesMax, onChange: () => this.#bell.ring() });
    [this.#process, this.#output] = [process, output];
    const whenGone = process.gone.then((left) => {
      if (left > 0) this.#input.onLeft(left);
      this.#bell.ring();
    });
    if (this.#reason !== undefined) this.#stop(this.#reason);
    try {
      yield { kind: "started", pid: process.pid };
      yield* this.#pass(process, output);
      await whenGone;
      // Before the last event: a reader may be content with that one.
      release();
      yield this.#ending(process, output, beganMs);
    } finally {
      this.#stop("cancelled");
      output.discard();
      await whenGone;
      release();
    }
  }

  /** Nothing, when the call was over in the meantime. */
  async #launch(): Promise<(Omit<PreparedRun, "start"> & { readonly process: ToolProcess }) | undefined> {
    const { start, scrubber, release } = this.#input.prepare();
    try {
      await this.#input.commit();
      if (this.#reason !== undefined) {
        release();
        return undefined;
      }
      return { process: await ToolProcess.start(start), scrubber, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  async *#pass(process: ToolProcess, output: ToolOutput): AsyncGenerator<ToolEvent> {
    while (!output.isOver) {
      const event = output.take();
      if (output.isAboveLimit) this.#stop("output-limit");
      if (event !== undefined) yield event;
      else if (!output.isOver) await this.#change(process, output);
    }
  }

  /** Until there may be more. Whoever holds the streams open when the tool is gone is not waited for long. */
  async #change(process: ToolProcess, output: ToolOutput): Promise<void> {
    if (!process.isGone) return await this.#bell.rung();
    if (this.#lingerMs <= 0) return output.discard();
    const { clock } = this.#input;
    const sinceMs = clock.monotonicMs();
    using _timer = clock.setTimer(this.#lingerMs, () => this.#bell.ring());
    await this.#bell.rung();
    this.#lingerMs -= clock.monotonicMs() - sinceMs;
  }

  #ending({ exit }: ToolProcess, { isTruncated }: ToolOutput, beganMs: number): ToolEvent {
    const { exitCode, signal, atMs = beganMs } = exit ?? {};
    return {
      ...{ kind: "ended", reason: this.#reason ?? "exited" },
      ...(exitCode === undefined ? {} : { exitCode }),
      ...(signal === undefined ? {} : { signal }),
      ...{ durationMs: Math.round(atMs - beganMs), truncated: isTruncated },
    };
  }

  /** The first reason counts; one that comes when the tool has ended by itself ends its output only. */
  #stop(reason: ToolEndReason): void {
    if (this.#process?.exit !== undefined) {
      this.#output?.discard();
    } else {
      this.#reason ??= reason;
      this.#output?.expectEnd();
      this.#process?.stop();
    }
    this.#bell.ring();
  }
}
