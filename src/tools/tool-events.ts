export interface ToolStartedEvent {
  readonly kind: "started";
  readonly pid: number;
}

export interface ToolOutputEvent {
  readonly kind: "output";
  readonly stream: "stdout" | "stderr";
  /** Scrubbed, 1 byte to 64 KiB; the receiver's. */
  readonly bytes: Uint8Array;
}

/** `exited`: by itself, or by a signal of somebody else's. */
export type ToolEndReason = "exited" | "timeout" | "cancelled" | "output-limit";

export interface ToolEndedEvent {
  readonly kind: "ended";
  /** Neither this nor `signal` when it was never started. */
  readonly exitCode?: number;
  readonly signal?: NodeJS.Signals;
  readonly reason: ToolEndReason;
  /** Until its first process ended. */
  readonly durationMs: number;
  /** It may have written more than was passed on. */
  readonly truncated: boolean;
}

/** `started`, any number of `output`, `ended`; `ended` alone when the call was over before it began. */
export type ToolEvent = ToolStartedEvent | ToolOutputEvent | ToolEndedEvent;
