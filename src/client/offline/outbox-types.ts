/** What an outbox is asked, and what it tells. */
import type { UnixMs } from "../../core/index.ts";
import type { Outcome } from "./outbox-format.ts";

export interface EnqueueOptions {
  /** For each attempt. Default `LIMITS.callTimeoutMs`, at most `LIMITS.callTimeoutMaxMs`. */
  readonly timeoutMs?: number;
  /** 16 bytes, for whoever wants to know it before; a fresh one by default. */
  readonly requestId?: Uint8Array;
}

/** A call that is on disk. */
export interface EnqueuedCall<Response> {
  /** 16 bytes; what `onSettled` of a later process calls it. */
  readonly requestId: Uint8Array;
  /**
   * Rejects with what the gatehouse answered; `rpc.outcome-unknown` when it cannot be known whether the call was carried
   * out; `quic.closed` when this client is closed first: then the call waits on, for the next process. May be left alone.
   */
  readonly answer: Promise<Response>;
}

export interface WaitingCall {
  readonly requestId: Uint8Array;
  /** gRPC's `/package.Service/Method`. */
  readonly method: string;
  readonly askedAt: UnixMs;
  /** Undefined: it has not left this machine. */
  readonly firstSentAt: UnixMs | undefined;
}

/** What became of a call whose process does not wait for it any more. */
export interface SettledCall {
  /** Undefined for a file that is no call of ours; the outcome's error says which. */
  readonly requestId: Uint8Array | undefined;
  /** gRPC's `/package.Service/Method`; undefined when the file was damaged. */
  readonly method: string | undefined;
  readonly askedAt: UnixMs | undefined;
  /** The response is encoded: `METHODS.Vault.Put.response.decode(response)`. */
  readonly outcome: Outcome;
}

export interface DrainOptions {
  /**
   * Told of calls of earlier processes, in order, before they are forgotten: at least once each, twice when this process is
   * killed meanwhile. Waited for. What it throws is logged and changes nothing. Kept for as long as the client lives.
   */
  readonly onSettled?: ((call: SettledCall) => void | Promise<void>) | undefined;
  readonly signal?: AbortSignal | undefined;
}
