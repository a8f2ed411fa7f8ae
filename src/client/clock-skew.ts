/** How far a gatehouse's clock is from this machine's, and how to say so. Positive: the gatehouse's is ahead. Milliseconds. */
import { type Clock, GatehouseError, LIMITS } from "../core/index.ts";

/** When a question left, by both clocks. */
export interface Asked {
  readonly at: number;
  readonly monotonicMs: number;
}

export function askedNow(clock: Clock): Asked {
  return { at: clock.now(), monotonicMs: clock.monotonicMs() };
}

/** The gatehouse has said `theirNow` (Unix ms) some time between the question and now: in the middle, by best guess. */
export function skewSince(asked: Asked, clock: Clock, theirNow: number): number {
  const roundTripMs = clock.monotonicMs() - asked.monotonicMs;
  return Math.round(theirNow - (asked.at + roundTripMs / 2));
}

/** Certificates are good from five minutes before they are made: as much does not matter. */
export function isSkewed(ms: number | undefined): ms is number {
  return ms !== undefined && Math.abs(ms) > LIMITS.certificateBackdateMs;
}

/** A sentence for people; undefined when the clocks agree, as far as is known. */
export function skewSentence(gatehouse: string, ms: number | undefined): string | undefined {
  if (!isSkewed(ms)) return undefined;
  return `this machine's clock is ${durationWords(Math.abs(ms))} ${ms > 0 ? "behind" : "ahead of"} ${gatehouse}'s: set it right`;
}

/** The same failure, with what is known of the clocks as its hint, where clocks may be the reason. */
export function withClockHint(failure: unknown, gatehouse: string, ms: number | undefined): unknown {
  if (!(failure instanceof GatehouseError) || !isAboutTrust(failure)) return failure;
  const hint = skewSentence(gatehouse, ms);
  return hint === undefined
    ? failure
    : new GatehouseError(failure.code, failure.message, { hint, cause: failure });
}

/** Dates decide over all of these. */
function isAboutTrust({ code }: GatehouseError): boolean {
  return code === "certificate.expired" || code === "quic.wrong-server";
}

const UNITS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
] as const;

function durationWords(ms: number): string {
  const [name, unitMs] = UNITS.find(([, size]) => ms >= 2 * size) ?? ["minute", 60_000];
  const count = Math.round(ms / unitMs);
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}
