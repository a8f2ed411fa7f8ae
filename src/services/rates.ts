/** How often a device may call: token buckets, by device and by action. */
import { type Clock, GatehouseError } from "../core/index.ts";

/** So many in each period, and as many at once. */
export interface Rate {
  readonly count: number;
  readonly periodMs: number;
}

export interface RateLimits {
  /** Of all calls of one device that leave a line in the audit log. */
  readonly calls: Rate;
  /** Of one device's calls that are denied. */
  readonly denials: Rate;
  readonly actions: ReadonlyMap<string, Rate>;
}

/** Fills up evenly, to `count` at most. */
class Bucket {
  readonly #rate: Rate;
  #tokens: number;
  #filledAtMs: number;

  constructor(rate: Rate, nowMs: number) {
    this.#rate = rate;
    this.#tokens = rate.count;
    this.#filledAtMs = nowMs;
  }

  /** Takes one; answers how long to wait, 0 when there was one. */
  take(nowMs: number): number {
    const { count, periodMs } = this.#rate;
    this.#tokens = Math.min(count, this.#tokens + ((nowMs - this.#filledAtMs) * count) / periodMs);
    this.#filledAtMs = nowMs;
    if (this.#tokens < 1) return Math.ceil(((1 - this.#tokens) * periodMs) / count);
    this.#tokens -= 1;
    return 0;
  }
}

/** Kept for good: there are no more devices than are paired, and no more actions than the schema has. */
export class Rates {
  readonly #limits: RateLimits;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();

  constructor(limits: RateLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** @throws GatehouseError `rpc.rate-limited` */
  call(deviceId: string): void {
    this.#take(deviceId, this.#limits.calls, "calls");
  }

  /** @throws GatehouseError `rpc.rate-limited` */
  action(deviceId: string, action: string): void {
    const rate = this.#limits.actions.get(action);
    if (rate !== undefined) this.#take(`${deviceId} ${action}`, rate, `calls for ${action}`);
  }

  /** Before a denial is written down. @throws GatehouseError `rpc.rate-limited` */
  denial(deviceId: string): void {
    this.#take(`${deviceId} denied`, this.#limits.denials, "calls that are denied");
  }

  #take(key: string, rate: Rate, what: string): void {
    const nowMs = this.#clock.monotonicMs();
    const bucket = this.#buckets.get(key) ?? new Bucket(rate, nowMs);
    this.#buckets.set(key, bucket);
    const retryAfterMs = bucket.take(nowMs);
    if (retryAfterMs === 0) return;
    throw new GatehouseError("rpc.rate-limited", `this device makes too many ${what}`, {
      hint: "it may go on in a moment; the gatehouse's owner sets limits in its config.toml",
      retryAfterMs,
    });
  }
}
