/** Calls that a gatehouse turned away for now, and said for how long. */
import { type Clock, type ErrorCode, type GatehouseError, LIMITS } from "../core/index.ts";
import type { MayRepeat, PendingCall } from "../rpc/index.ts";

/** Said before anything of the call was done. Not `vault.unseal-limited`: whoever typed a wrong key wants to hear of it. */
const TURNED_AWAY = new Set<ErrorCode>(["rpc.rate-limited", "rpc.overloaded"]);

/**
 * What `mayRepeat` says, and where that is no: calls that were turned away with a time to come back at are sent again then,
 * `LIMITS.retryAfterTimes` times at most, and only when that is before their deadline: otherwise they fail at once.
 */
export function honouringRetryAfter(mayRepeat: MayRepeat, clock: Clock): MayRepeat {
  const times = new WeakMap<PendingCall, number>();
  return (call, failure) => {
    const verdict = mayRepeat(call, failure);
    const afterMs = verdict === false ? retryAfterMsOf(failure) : undefined;
    if (afterMs === undefined) return verdict;
    const before = times.get(call) ?? 0;
    if (before >= LIMITS.retryAfterTimes || clock.monotonicMs() + afterMs >= call.deadlineMs) return false;
    times.set(call, before + 1);
    return { afterMs };
  };
}

/** Undefined when `failure` does not say so, or may come from something that was done in part. */
function retryAfterMsOf({ code, retryAfterMs }: GatehouseError): number | undefined {
  return TURNED_AWAY.has(code) ? retryAfterMs : undefined;
}
