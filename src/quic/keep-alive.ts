import type { Clock } from "../core/index.ts";

export interface KeepAliveOptions {
  readonly clock: Clock;
  /** Between signs of life at the most. */
  readonly intervalMs: number;
  /** The path's round-trip time, if it is known. */
  readonly rttMs: () => number | undefined;
  /** Whether anybody waits for something. */
  readonly isNeeded: () => boolean;
  readonly send: () => void;
}

/** An answer that takes no longer costs no sign of life. */
const FIRST_MS = 50;
const FIRST_ROUND_TRIPS = 2;

/**
 * Signs of life while calls are under way (RFC 9000 §10.1.2): soon after the last word in either direction, then twice as
 * far apart each time. When a NAT has forgotten the path and only the server has something to send, nothing else would tell
 * it the new address; and what was lost at the end of a flight is missed a round trip later.
 */
export class KeepAlive implements Disposable {
  readonly #options: KeepAliveOptions;
  #timer: Disposable | undefined;
  #quietSinceMs = 0;
  #sent = 0;

  constructor(options: KeepAliveOptions) {
    this.#options = options;
  }

  /** Something was asked, or answered. */
  touch(): void {
    this.#quietSinceMs = this.#options.clock.monotonicMs();
    this.#sent = 0;
    if (this.#timer === undefined) this.#arm(this.#delayMs());
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #delayMs(): number {
    const first = Math.max(FIRST_MS, FIRST_ROUND_TRIPS * (this.#options.rttMs() ?? 0));
    return Math.min(this.#options.intervalMs, first * 2 ** this.#sent);
  }

  #arm(delayMs: number): void {
    this.#timer = this.#options.clock.setTimer(delayMs, () => this.#fire());
  }

  #fire(): void {
    this.#timer = undefined;
    if (!this.#options.isNeeded()) return;
    const leftMs = this.#quietSinceMs + this.#delayMs() - this.#options.clock.monotonicMs();
    if (leftMs > 0) {
      this.#arm(leftMs);
      return;
    }
    this.#options.send();
    this.#sent += 1;
    this.#quietSinceMs = this.#options.clock.monotonicMs();
    this.#arm(this.#delayMs());
  }
}
