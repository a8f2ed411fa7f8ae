import type { GatehouseError } from "../core/index.ts";
import type { MethodDefinition, MethodKind } from "../gen/index.ts";

/** Any row of `METHODS`, its messages left aside. */
export type AnyMethod = Pick<
  MethodDefinition<MethodKind, never, unknown, never, unknown>,
  "path" | "kind" | "hasNoSideEffects"
>;

/** What a handler and the interceptors know of one call. */
export interface CallContext<Peer> {
  readonly method: AnyMethod;
  /** Who calls, as the connection proved it. */
  readonly peer: Peer;
  /** 16 bytes, the same over the retries of one call; undefined when the caller sent none. */
  readonly requestId: Uint8Array | undefined;
  /** W3C Trace Context, or empty. */
  readonly traceparent: string;
  readonly isEarlyData: boolean;
  /** When the call's time is up, on the monotonic clock. */
  readonly deadlineMs: number;
  /** Aborted, with a `GatehouseError`, when the caller is gone, the time is up or the door closes. */
  readonly signal: AbortSignal;
  /** Time left, 0 at least. */
  remainingMs(): number;
  /** Calls `run` once when the call is over, however it ended; the error is undefined when it was answered. */
  onEnd(run: (error: GatehouseError | undefined) => void): void;
}

export interface ContextFields<Peer> {
  readonly method: AnyMethod;
  readonly peer: Peer;
  readonly requestId: Uint8Array | undefined;
  readonly traceparent: string;
  readonly isEarlyData: boolean;
  readonly deadlineMs: number;
  readonly nowMs: () => number;
}

/** The one `CallContext`. Its abort controller is made on demand: most calls never look at their signal. */
export class ServerContext<Peer> implements CallContext<Peer> {
  readonly method: AnyMethod;
  readonly peer: Peer;
  readonly requestId: Uint8Array | undefined;
  readonly traceparent: string;
  readonly isEarlyData: boolean;
  readonly deadlineMs: number;
  readonly #nowMs: () => number;
  #abort: AbortController | undefined;
  #abortedBy: GatehouseError | undefined;
  #isOver = false;
  #onEnd: ((error: GatehouseError | undefined) => void)[] | undefined;

  constructor(fields: ContextFields<Peer>) {
    this.method = fields.method;
    this.peer = fields.peer;
    this.requestId = fields.requestId;
    this.traceparent = fields.traceparent;
    this.isEarlyData = fields.isEarlyData;
    this.deadlineMs = fields.deadlineMs;
    this.#nowMs = fields.nowMs;
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#abortedBy !== undefined) this.#abort.abort(this.#abortedBy);
    }
    return this.#abort.signal;
  }

  remainingMs(): number {
    return Math.max(0, this.deadlineMs - this.#nowMs());
  }

  onEnd(run: (error: GatehouseError | undefined) => void): void {
    if (this.#isOver) run(this.#abortedBy);
    else if (this.#onEnd === undefined) this.#onEnd = [run];
    else this.#onEnd.push(run);
  }

  /** Last registered first, as scopes close. */
  end(error: GatehouseError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#abortedBy = error;
    if (error !== undefined) this.#abort?.abort(error);
    for (let run = this.#onEnd?.pop(); run !== undefined; run = this.#onEnd?.pop()) run(error);
  }
}
