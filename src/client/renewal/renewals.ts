import type { Clock, Logger, Random } from "../../core/index.ts";
import { pause } from "../pause.ts";
import type { Remote } from "../remotes.ts";
import { renewalTime } from "./renewal.ts";

/** Timers stand still while a machine sleeps: short enough for one that wakes up, long enough to cost nothing. */
const LOOK_MS = 600_000;
const RETRY_MS = 60_000;
const RETRY_MS_MAX = 6 * 3_600_000;
/** A command does not end before its renewal has, unless that hangs. */
const SETTLE_MS = 2_000;

export interface RenewalsOptions {
  /** As it was when the connection was made. */
  readonly remote: Remote;
  /** Renews unless somebody else has, and answers the entry as it is then. @throws GatehouseError */
  readonly renew: (signal: AbortSignal) => Promise<Remote>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Keeps one gatehouse's certificate fresh for as long as a client is there. Never fails a call. */
export class Renewals implements AsyncDisposable {
  readonly #options: RenewalsOptions;
  readonly #gone = new AbortController();
  /** Unix ms. */
  #dueAt: number;
  #failures = 0;
  #timer: Disposable | undefined;
  #running: Promise<void> | undefined;

  constructor(options: RenewalsOptions) {
    this.#options = options;
    this.#dueAt = renewalTime(options.remote.certificate);
    this.#look();
  }

  /** Waits for a renewal under way, two seconds at most; then what is left of it is for the next time. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { clock } = this.#options;
    const running = this.#running;
    if (running !== undefined) {
      const settled = new AbortController();
      await Promise.race([running.then(() => settled.abort()), pause(clock, SETTLE_MS, settled.signal)]);
    }
    this.#gone.abort();
    await running;
    this.#timer?.[Symbol.dispose]();
  }

  #look(): void {
    const { clock } = this.#options;
    if (this.#gone.signal.aborted) return;
    if (clock.now() < this.#dueAt) {
      const delayMs = Math.min(this.#dueAt - clock.now(), LOOK_MS);
      this.#timer = clock.setTimer(delayMs, () => this.#look());
      return;
    }
    this.#running = this.#renew().finally(() => {
      this.#running = undefined;
      this.#look();
    });
  }

  async #renew(): Promise<void> {
    const { renew, clock, logger, remote } = this.#options;
    try {
      const { certificate, certificateExpiresAt } = await renew(this.#gone.signal);
      this.#failures = 0;
      // However short a certificate's life is, it does not keep anybody busy.
      this.#dueAt = Math.max(renewalTime(certificate), clock.now() + RETRY_MS);
      logger.info("certificate-renewed", { gatehouse: remote.gatehouseId, expiresAt: certificateExpiresAt });
    } catch (failure) {
      if (this.#gone.signal.aborted) return;
      this.#dueAt = clock.now() + this.#pauseMs();
      this.#failures += 1;
      logger.warn("certificate-not-renewed", {
        gatehouse: remote.gatehouseId,
        error: failure instanceof Error ? failure.message : "unknown",
        againAt: this.#dueAt,
      });
    }
  }

  /** Doubles from a minute to six hours; then up to a quarter less, so that devices do not come together. */
  #pauseMs(): number {
    const [byte = 0] = this.#options.random.bytes(1);
    const wholeMs = Math.min(RETRY_MS * 2 ** Math.min(this.#failures, 16), RETRY_MS_MAX);
    return Math.max(RETRY_MS, Math.round(wholeMs * (1 - byte / 1_020)));
  }
}
