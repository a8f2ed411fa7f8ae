import type { GatehouseError } from "../core/index.ts";

/** One call's bytes both ways. What carries it (QUIC, memory, a tunnel) is not ours to know. */
export interface CallStream {
  /** The bytes travel in early data: they may be a replay (RFC 8446 §8). Absent means they do not. */
  readonly isEarlyData?: boolean;
  /** Installs the reader; called once, before anything is delivered. */
  attach(sink: StreamSink): void;
  /**
   * Takes `bytes` (the caller forgets them). False: more is buffered than is wise, wait for `drain`.
   * `fin` ends our side; nothing is written after it.
   */
  write(bytes: Uint8Array, fin: boolean): boolean;
  /** No `data` after it returns, until `resume`. */
  pause(): void;
  resume(): void;
  /** Abandons both directions, with one of `RESET`. */
  reset(code: number): void;
}

/** Called synchronously in the transport's turn. */
export interface StreamSink {
  /** `bytes` is lent until it returns. `fin`: the peer's side has ended. */
  data(bytes: Uint8Array, fin: boolean): void;
  /** What was buffered has gone below the mark after a `write` that answered false. */
  drain(): void;
  /** Reset by the peer, or the connection is gone: nothing more comes or goes. */
  closed(error: GatehouseError | undefined): void;
}

/** Why a stream was abandoned: what the peer's transport shows as the application's error code. */
export const RESET = {
  /** The call is of no more interest to this side. */
  cancelled: 0,
  /** This side failed. */
  internal: 1,
  /** This side has no room for it. */
  limit: 2,
  /** The caller's time was up. */
  deadline: 3,
  /** The peer sent what the protocol does not allow. */
  protocol: 4,
  /** The peer neither sent nor read for too long. */
  stalled: 5,
} as const;
