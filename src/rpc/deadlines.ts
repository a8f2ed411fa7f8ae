import { type Clock, LIMITS } from "../core/index.ts";

/** What waits: `expire` is called once, at its time or up to one tick after it. */
export interface Expiring {
  expire(): void;
}

/** What waits for a while; one of the two is called, once. */
export interface Waiting {
  over(): void;
  /** Nobody waits any more. */
  dropped(): void;
}

const TICK_MS = 10;

/**
 * Many deadlines on one timer: a call in flight costs a set entry instead of a timer of its own.
 * Deadlines are rounded up to 10 ms.
 */
export class Deadlines implements Disposable {
  readonly #clock: Clock;
  readonly #ticks = new Map<number, Set<Expiring>>();
  readonly #waits = new Map<Waiting, Disposable>();
  #timer: Disposable | undefined;
  #armedTick = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  /** Expires `entry` at `atMs` of the monotonic clock; answers the tick that `remove` wants back. */
  add(entry: Expiring, atMs: number): number {
    const tick = Math.ceil(atMs / TICK_MS);
    let entries = this.#ticks.get(tick);
    if (entries === undefined) {
      entries = new Set();
      this.#ticks.set(tick, entries);
      if (tick < this.#armedTick) this.#arm(tick);
    }
    entries.add(entry);
    return tick;
  }

  remove(entry: Expiring, tick: number): void {
    const entries = this.#ticks.get(tick);
    if (entries?.delete(entry) && entries.size === 0) this.#ticks.delete(tick);
  }

  /** Calls `over` after `delayMs`, on a timer of its own; disposing the answer cancels it. */
  wait(delayMs: number, waiting: Waiting): Disposable {
    const cancel = (): void => {
      this.#waits.get(waiting)?.[Symbol.dispose]();
      this.#waits.delete(waiting);
    };
    const timer = this.#clock.setTimer(delayMs, () => {
      cancel();
      waiting.over();
    });
    this.#waits.set(waiting, timer);
    return { [Symbol.dispose]: cancel };
  }

  /** Stops the timers; what still waits never expires. */
  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#ticks.clear();
    const waits = [...this.#waits];
    this.#waits.clear();
    for (const [waiting, timer] of waits) {
      timer[Symbol.dispose]();
      waiting.dropped();
    }
  }

  #arm(tick: number): void {
    this.#timer?.[Symbol.dispose]();
    this.#armedTick = tick;
    const delayMs = Math.max(0, tick * TICK_MS - this.#clock.monotonicMs());
    this.#timer = this.#clock.setTimer(Math.min(delayMs, LIMITS.callTimeoutMaxMs), () => this.#fire());
  }

  #fire(): void {
    const nowTick = Math.floor(this.#clock.monotonicMs() / TICK_MS);
    this.#timer = undefined;
    this.#armedTick = Number.POSITIVE_INFINITY;
    let earliest = Number.POSITIVE_INFINITY;
    const due: Expiring[] = [];
    for (const [tick, entries] of this.#ticks) {
      if (tick > nowTick) {
        earliest = Math.min(earliest, tick);
        continue;
      }
      due.push(...entries);
      this.#ticks.delete(tick);
    }
    if (earliest < this.#armedTick) this.#arm(earliest);
    for (const entry of due) entry.expire();
  }
}
