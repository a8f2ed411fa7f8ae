import { type Client, METHODS } from "../client/index.ts";
import { type Clock, GatehouseError, isGatehouseError } from "../core/index.ts";
import { type Percentiles, percentiles } from "./percentiles.ts";

export interface PingOptions {
  /** How many; at least 1. */
  readonly count: number;
  /** From one answer to the next question. */
  readonly intervalMs: number;
  /** How long an answer may take before it counts as lost. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called after each answer; `sequence` counts from 1. */
  readonly onReply?: (sequence: number, rttMs: number) => void;
}

export interface PingReport {
  readonly sent: number;
  readonly received: number;
  /** Milliseconds, to the microsecond; absent when nothing was answered. */
  readonly rttMs: Percentiles | undefined;
  readonly wire: string;
  /** Why it was that one. */
  readonly wireReason: string;
  readonly handshakeMs: number;
}

/** What is measured: a connection that answers calls. */
export type PingTarget = Pick<Client, "call" | "wire" | "wireReason" | "handshakeMs">;

/**
 * One `Health.Ping` after another on one connection; a question without an answer counts as lost.
 *
 * @throws GatehouseError for a refusal (revoked, denied): only silence is loss. Rejects when `signal` aborts.
 */
export async function ping(target: PingTarget, options: PingOptions): Promise<PingReport> {
  const { count, intervalMs, clock, signal, onReply } = options;
  const samples: number[] = [];
  for (let sequence = 1; sequence <= count; sequence += 1) {
    const rttMs = await roundTrip(target, options);
    if (rttMs !== undefined) {
      samples.push(rttMs);
      onReply?.(sequence, rttMs);
    }
    if (sequence < count && intervalMs > 0) await pause(intervalMs, clock, signal);
  }
  const { wire, wireReason, handshakeMs } = target;
  const rttMs = samples.length === 0 ? undefined : percentiles(samples);
  return {
    sent: count,
    received: samples.length,
    rttMs,
    wire,
    wireReason,
    handshakeMs: toMicroseconds(handshakeMs),
  };
}

async function roundTrip(target: PingTarget, options: PingOptions): Promise<number | undefined> {
  const { clock, signal, timeoutMs } = options;
  const startedMs = clock.monotonicMs();
  try {
    await target.call(METHODS.Health.Ping, {}, { signal, timeoutMs });
  } catch (error) {
    if (isGatehouseError(error, "rpc.deadline") || isGatehouseError(error, "quic.timed-out"))
      return undefined;
    throw error;
  }
  return toMicroseconds(clock.monotonicMs() - startedMs);
}

function toMicroseconds(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}

function pause(intervalMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      timer[Symbol.dispose]();
      reject(new GatehouseError("rpc.cancelled", "the measurement was interrupted"));
    };
    const timer = clock.setTimer(intervalMs, () => {
      signal.removeEventListener("abort", abort);
      resolve();
    });
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}
