/** What a client without a home remembers of earlier connections: nothing of it outlives the process. */
import { type Clock, LIMITS } from "../../core/index.ts";
import type { Tickets } from "./tickets.ts";
import type { UdpHistory } from "./wire-memory.ts";

/** For one gatehouse, one certificate and one set of authorities: every ticket fits. */
export class MemoryTickets implements Pick<Tickets, "take" | "rttMs" | "save"> {
  readonly #clock: Clock;
  /** The newest last. */
  readonly #kept: { readonly session: Uint8Array; readonly savedAt: number }[] = [];
  #rttMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async take(): ReturnType<Tickets["take"]> {
    const newest = this.#kept.pop();
    const isGood = newest !== undefined && this.#clock.monotonicMs() - newest.savedAt < LIMITS.ticketMs;
    return { session: isGood ? newest.session : undefined, rttMs: this.#rttMs };
  }

  rttMs(): number | undefined {
    return this.#rttMs;
  }

  save(...[, { session, rttMs }]: Parameters<Tickets["save"]>): void {
    this.#rttMs = rttMs ?? this.#rttMs;
    this.#kept.push({ session, savedAt: this.#clock.monotonicMs() });
    if (this.#kept.length > LIMITS.ticketsPerGatehouse) this.#kept.shift();
  }
}

/** Whether UDP failed lately, on whatever network that was. */
export class MemoryUdpHistory implements UdpHistory {
  readonly #clock: Clock;
  #failedAt: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async hasFailed(): Promise<boolean> {
    return this.#failedAt !== undefined && this.#clock.monotonicMs() - this.#failedAt < LIMITS.udpFailureMs;
  }

  async failed(): Promise<void> {
    this.#failedAt = this.#clock.monotonicMs();
  }

  async worked(): Promise<void> {
    this.#failedAt = undefined;
  }
}
