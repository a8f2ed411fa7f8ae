import type { Clock } from "../core/index.ts";

export interface SourceLimits {
  /** Unfinished handshakes of one source, and of all. */
  readonly handshakesPerSource: number;
  readonly handshakes: number;
  /** Unfinished handshakes of all sources from which on every stranger has to show that its address is its own. */
  readonly handshakesBeforeRetry: number;
  /** Sources that failed, remembered. */
  readonly failedSources: number;
  /** How long a failure is held against a source. */
  readonly failureMs: number;
  /** Failures of one source within that time, its address proven, from which on it is not answered any more. */
  readonly failuresPerSource: number;
}

interface Failures {
  count: number;
  readonly sinceMs: number;
}

/** Whether a source gets another handshake: by what it has under way, and by how its earlier ones ended. */
export class SourceLedger {
  readonly #limits: SourceLimits;
  readonly #clock: Clock;
  readonly #halfOpen = new Map<string, number>();
  /** In order of their first failure: the oldest are forgotten first. */
  readonly #failures = new Map<string, Failures>();
  #total = 0;

  constructor(limits: SourceLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Unfinished handshakes of all sources. */
  get halfOpen(): number {
    return this.#total;
  }

  /** `retry`: welcome once it has shown a token. */
  judge(source: string, hasToken: boolean): "accept" | "retry" | "refuse" {
    const failures = this.#recentFailures(source);
    if (failures >= this.#limits.failuresPerSource) return "refuse";
    if (!hasToken && (failures > 0 || this.#total >= this.#limits.handshakesBeforeRetry)) return "retry";
    const isFull =
      this.#total >= this.#limits.handshakes ||
      (this.#halfOpen.get(source) ?? 0) >= this.#limits.handshakesPerSource;
    return isFull ? "refuse" : "accept";
  }

  /** A handshake of this source failed lately. */
  hasFailed(source: string): boolean {
    return this.#recentFailures(source) > 0;
  }

  began(source: string): void {
    this.#halfOpen.set(source, (this.#halfOpen.get(source) ?? 0) + 1);
    this.#total += 1;
  }

  /** `isValidated`: the source has shown a token. What others do in its name must not shut it out. */
  ended(source: string, outcome: "done" | "failed", isValidated: boolean): void {
    this.#total -= 1;
    const left = (this.#halfOpen.get(source) ?? 1) - 1;
    if (left > 0) this.#halfOpen.set(source, left);
    else this.#halfOpen.delete(source);
    if (outcome === "failed") this.#failed(source, isValidated);
  }

  #failed(source: string, isValidated: boolean): void {
    const known = this.#recentFailures(source) > 0 ? this.#failures.get(source) : undefined;
    if (known !== undefined) {
      if (isValidated) known.count += 1;
      return;
    }
    this.#failures.delete(source);
    const [oldest] = this.#failures.keys();
    if (oldest !== undefined && this.#failures.size >= this.#limits.failedSources)
      this.#failures.delete(oldest);
    this.#failures.set(source, { count: 1, sinceMs: this.#clock.monotonicMs() });
  }

  #recentFailures(source: string): number {
    const failures = this.#failures.get(source);
    if (failures === undefined) return 0;
    return this.#clock.monotonicMs() - failures.sinceMs < this.#limits.failureMs ? failures.count : 0;
  }
}
