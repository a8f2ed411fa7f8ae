import type { ServerHttp2Session } from "node:http2";
import { type Clock, LIMITS } from "../core/index.ts";

/** Pings the peer all the time, and ends the session of one that does not answer; in time it ends every session. */
export class Heartbeat implements Disposable {
  readonly #session: ServerHttp2Session;
  readonly #clock: Clock;
  readonly #bornMs: number;
  #timer: Disposable;

  constructor(session: ServerHttp2Session, clock: Clock) {
    this.#session = session;
    this.#clock = clock;
    this.#bornMs = clock.monotonicMs();
    this.#timer = clock.setTimer(LIMITS.grpcPingMs, () => this.#beat());
  }

  [Symbol.dispose](): void {
    this.#timer[Symbol.dispose]();
  }

  #beat(): void {
    if (this.#session.destroyed) return;
    const ageMs = this.#clock.monotonicMs() - this.#bornMs;
    // Calls that are under way may end; those that never do are ended.
    if (ageMs > LIMITS.connectionAgeMs && !this.#session.closed) this.#session.close();
    if (ageMs > 2 * LIMITS.connectionAgeMs) this.#session.destroy();
    else this.#ping();
  }

  #ping(): void {
    this.#timer = this.#clock.setTimer(LIMITS.grpcPingTimeoutMs, () => this.#session.destroy());
    const isSent = this.#session.ping((failure) => {
      this.#timer[Symbol.dispose]();
      if (failure === null) this.#timer = this.#clock.setTimer(LIMITS.grpcPingMs, () => this.#beat());
    });
    if (!isSent) this.#session.destroy();
  }
}
