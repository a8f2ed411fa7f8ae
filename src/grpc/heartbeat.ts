import type { ServerHttp2Session } from "node:http2";
import { type Clock, LIMITS } from "../core/index.ts";

export interface HeartbeatOptions {
  readonly clock: Clock;
  /** Ends the connection, now. */
  readonly end: () => void;
}

/** Pings the peer all the time, and ends the connection of one that does not answer; in time it ends every connection. */
export class Heartbeat implements Disposable {
  readonly #session: ServerHttp2Session;
  readonly #options: HeartbeatOptions;
  readonly #bornMs: number;
  #timer: Disposable | undefined;

  constructor(session: ServerHttp2Session, options: HeartbeatOptions) {
    this.#session = session;
    this.#options = options;
    this.#bornMs = options.clock.monotonicMs();
    this.#arm();
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }

  #arm(): void {
    this.#timer = this.#options.clock.setTimer(LIMITS.grpcPingMs, () => this.#beat());
  }

  #beat(): void {
    if (this.#session.destroyed) return;
    const ageMs = this.#options.clock.monotonicMs() - this.#bornMs;
    if (ageMs > 2 * LIMITS.connectionAgeMs) {
      this.#options.end();
      return;
    }
    // Calls that are under way may end; those that never do are ended.
    if (ageMs > LIMITS.connectionAgeMs) this.#session.close();
    // Node pings no session that is closing.
    if (this.#session.closed) this.#arm();
    else this.#ping();
  }

  #ping(): void {
    this.#timer = this.#options.clock.setTimer(LIMITS.grpcPingTimeoutMs, () => this.#options.end());
    const isSent = this.#session.ping((failure) => {
      this.#timer?.[Symbol.dispose]();
      if (failure === null) this.#arm();
    });
    if (!isSent) this.#options.end();
  }
}
