import type { Clock } from "../core/index.ts";

const KEPT_MS = 3_000;
const KEPT_MAX = 4_096;

/**
 * First connection ids of connections that have ended: repeats of a first flight that come late must not begin another one
 * (they are copies of what was answered).
 */
export class EndedIds {
  readonly #clock: Clock;
  /** When it ended, the oldest first. */
  readonly #ended = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(id: string): void {
    const [oldest] = this.#ended.keys();
    if (oldest !== undefined && this.#ended.size >= KEPT_MAX) this.#ended.delete(oldest);
    this.#ended.set(id, this.#clock.monotonicMs());
  }

  has(id: Buffer): boolean {
    if (this.#ended.size === 0) return false;
    const endedMs = this.#ended.get(id.toString("latin1"));
    return endedMs !== undefined && this.#clock.monotonicMs() - endedMs < KEPT_MS;
  }
}
