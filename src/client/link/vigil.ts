import type { Clock } from "../../core/index.ts";
import type { Carriage } from "./lane.ts";

const LOOK_MS = 250;
/** An answer that is long in coming is no sign: a live transport acknowledges at once. */
const SILENCE_MS = 1_000;
const SILENCE_ROUND_TRIPS = 8;
const SILENCE_MAX_MS = 15_000;
/** One packet may be a mere acknowledgement, to which nothing is said. */
const UNANSWERED_PACKETS_MIN = 2;

/**
 * Watches, while calls are under way, whether anybody is left at a connection's other end. A gatehouse that was killed and
 * started again knows nothing of its old connections and says nothing to them: they would end by their idle timers alone,
 * long after their calls.
 */
export class Vigil implements Disposable {
  /** Somebody looks from time to time. */
  isKept = false;
  readonly #clock: Clock;
  readonly #connection: Carriage;
  readonly #silent: () => void;
  #timer: Disposable | undefined;
  #receivedPackets = 0;
  /** When the last packet came that was seen to come, so many had been sent. */
  #sentPackets = 0;
  /** Since when an answer has been due. */
  #dueSinceMs: number | undefined;
  #alarms = 0;

  /** `silent` is called when nothing was heard for long; again only after twice that. */
  constructor(clock: Clock, connection: Carriage, silent: () => void) {
    this.#clock = clock;
    this.#connection = connection;
    this.#silent = silent;
  }

  /** A call was sent. */
  keep(): void {
    if (this.isKept) return;
    this.isKept = true;
    this.#heard();
    this.#arm();
  }

  /** Whether nothing has come since the silence began that was told last. */
  get isStillSilent(): boolean {
    return this.#connection.traffic.received === this.#receivedPackets;
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.isKept = true;
  }

  #arm(): void {
    this.#timer = this.#clock.setTimer(LOOK_MS, () => this.#look());
  }

  #look(): void {
    if (!this.#connection.isOpen || this.#connection.streamCount === 0) {
      this.isKept = false;
      return;
    }
    const nowMs = this.#clock.monotonicMs();
    const { sent, received } = this.#connection.traffic;
    if (received !== this.#receivedPackets) this.#heard();
    else if (sent - this.#sentPackets >= UNANSWERED_PACKETS_MIN) this.#dueSinceMs ??= nowMs;
    if (nowMs - (this.#dueSinceMs ?? nowMs) >= this.#patienceMs()) {
      this.#alarms += 1;
      this.#dueSinceMs = nowMs;
      this.#silent();
    }
    this.#arm();
  }

  #heard(): void {
    const { sent, received } = this.#connection.traffic;
    this.#receivedPackets = received;
    this.#sentPackets = sent;
    this.#dueSinceMs = undefined;
  }

  #patienceMs(): number {
    const firstMs = Math.max(SILENCE_MS, SILENCE_ROUND_TRIPS * (this.#connection.rttMs ?? 0));
    return Math.min(firstMs * 2 ** this.#alarms, SILENCE_MAX_MS);
  }
}
