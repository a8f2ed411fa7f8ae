import type { Clock, Logger } from "../core/index.ts";
import { pause } from "./pause.ts";
import type { Remote } from "./remotes.ts";
import { renewalTime } from "./renewal.ts";

/** Short enough for a machine that slept, long enough to cost nothing. */
const LOOK_MS = 600_000;
const RETRY_MS = 60_000;
const RETRY_MS_MAX = 6 * 3_600_000;
/** A command does not end before its renewal has, unless that hangs. */
const SETTLE_MS = 2_000;

export interface RenewalsOptions {
  /** As it was when the connection was made. */
  readonly remote: Remote;
  /** Renews and answers the entry as it is then. @throws GatehouseError */
  readonly renew: (signal: AbortSignal) => Promise<Remote>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Keeps one gatehouse's certificate fresh for as long as a client is there. Never fails a call. */
export class Renewals implements AsyncDisposable {
  readonly #options: RenewalsOptions;
  readonly #gone = new AbortController();
  #dueAt: number;
  #failures = 0;
  #timer: Disposable | undefined;
  #running: Promise<void> | undefined;

  constructor(options: RenewalsOptions) {
    this.#options = options;
    this.#dueAt = renewalTime(options.remote.certificate);
    this.#look();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    const { clock } = this.#options;
    const settled = new AbortController();
    const running = this.#running?.then(() => settled.abort());
    if (running !== undefined) await Promise.race([running, pause(clock, SETTLE_MS, settled.signal)]);
    this.#gone.abort();
    await running;
  }

  #look(): void {
    const { clock } = this.#options;
    if (clock.now() >= this.#dueAt && this.#running === undefined) {
      this.#running = this.#renew().finally(() => {
        this.#running = undefined;
      });
    }
    this.#timer = clock.setTimer(LOOK_MS, () => this.#look());
  }

  async #renew(): Promise<void> {
    const { renew, clock, logger } = this.#options;
    try {
      const { certificate, certificateExpiresAt } = await renew(this.#gone.signal);
      this.#failures = 0;
      this.#dueAt = renewalTime(certificate);
      logger.info("certificate-renewed", { expiresAt: certificateExpiresAt });
    } catch (failure) {
      this.#dueAt = clock.now() + Math.min(RETRY_MS * 2 ** this.#failures, RETRY_MS_MAX);
      this.#failures += 1;
      logger.warn("certificate-not-renewed", {
        error: failure instanceof Error ? failure.message : "unknown",
      });
    }
  }
}
