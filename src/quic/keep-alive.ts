import type { Clock } from "../core/index.ts";

export interface KeepAliveOptions {
  readonly clock: Clock;
  /** Between signs of life. */
  readonly intervalMs: number;
  /** Whether anybody still wants the connection to last. */
  readonly isNeeded: () => boolean;
  readonly send: () => void;
}

/** Keeps a path open through NATs and idle timers (RFC 9000 §10.1.2) for as long as calls are under way. */
export class KeepAlive implements Disposable {
  readonly #options: KeepAliveOptions;
  #timer: Disposable | undefined;

  constructor(options: KeepAliveOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer ??= this.#options.clock.setTimer(this.#options.intervalMs, () => {
      this.#timer = undefined;
      if (!this.#options.isNeeded()) return;
      this.#options.send();
      this.start();
    });
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }
}
