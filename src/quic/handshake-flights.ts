/**
 * Handshake flights sent again before the library's own first timer (one second) would (RFC 9002 §6.2 allows any sender to
 * probe earlier; RFC 9000 §13.3 makes duplicates harmless: they are dropped by packet number). Measured at 10 % loss each
 * way and 30 ms: the connection stands after 0.15 to 0.3 s in 99 of 100 cases, after 3.2 s without.
 *
 * The client drives: it repeats its first flight until the server's has come whole, and its second until the server has
 * heard it. The server repeats its own flight whenever it hears one of the client's again.
 */
import { type Clock, copyOf } from "../core/index.ts";
import type { SocketAddress } from "./address.ts";

/** Copies kept of one flight: certificates of four kilobytes, and the first requests behind them. */
const FLIGHT_DATAGRAMS_MAX = 6;
/** RFC 9000 §8.1. */
const AMPLIFICATION_MAX = 3;
/** After the first packet, where nothing is known of the path. */
const FIRST_FLIGHT_DELAYS_MS = [40, 120, 280, 600] as const;
/** The same for a path whose round-trip time is remembered, in round trips; twice as patient each time. */
const FIRST_FLIGHT_ROUND_TRIPS = [1.25, 3.5, 8, 17] as const;
/** After the second flight, in round trips: how long the answer to the last repeat took, at most one too few. */
const SECOND_FLIGHT_ROUND_TRIPS = [1.5, 3.75, 8, 17] as const;
const REPEAT_DELAY_MS_MIN = 10;
/** A client that has not heard the server's last flight by then is left to the library's timers. */
const SECOND_FLIGHT_KEPT_MS = 1_500;
/** Answers to repeats: more than an honest client sends. */
const ROUNDS_MAX = 12;
/** What the library may make of the next call. */
const DATAGRAM_BYTES_MAX = 1_350;

export type SendCopy = (datagram: Uint8Array, to: SocketAddress) => void;

/** What the connection tells of its handshake. */
export interface HandshakeFlights extends Disposable {
  /** The library made `datagram` (borrowed). */
  sent(datagram: Uint8Array, to: SocketAddress): void;
  /** Nothing more is to be sent now without going past what an unvalidated address may get. */
  readonly isBlocked: boolean;
  /** Nothing will be repeated any more. */
  readonly isOver: boolean;
  /** Datagrams sent again. */
  readonly repeats: number;
  /** A datagram of the handshake came. `isRepeated`: it belongs to a flight of the peer's that has been answered. */
  received(bytes: number, isRepeated: boolean): void;
  /** The peer's flight has come whole; what is sent from here on is the next one. */
  established(): void;
  /** The peer has sent what it could not send before it had this side's last flight. */
  confirmed(): void;
  /** A Retry came (RFC 9000 §17.2.5): what was sent under the old connection id means nothing any more. */
  retried(): void;
}

/** One flight's datagrams. */
class Flight {
  readonly #copies: { readonly datagram: Uint8Array; readonly to: SocketAddress }[] = [];

  add(datagram: Uint8Array, to: SocketAddress): void {
    if (this.#copies.length < FLIGHT_DATAGRAMS_MAX) this.#copies.push({ datagram: copyOf(datagram), to });
  }

  repeat(send: SendCopy): number {
    for (const { datagram, to } of this.#copies) send(datagram, to);
    return this.#copies.length;
  }

  get bytes(): number {
    return this.#copies.reduce((sum, { datagram }) => sum + datagram.length, 0);
  }

  forget(): void {
    this.#copies.length = 0;
  }
}

export interface ClientFlightsOptions {
  readonly clock: Clock;
  readonly send: SendCopy;
  /** Of an earlier connection to the same server. */
  readonly rttMs?: number | undefined;
}

/** The client's flights: the first until the server's has come whole, the second until the server is heard to have it. */
export class ClientFlights implements HandshakeFlights {
  readonly isBlocked = false;
  readonly #options: ClientFlightsOptions;
  readonly #flight = new Flight();
  /** When the flight was sent, or sent again. */
  #sentMs: number;
  #timers: Disposable[] = [];
  #stage: "first" | "second" | "over" = "first";
  repeats = 0;

  constructor(options: ClientFlightsOptions) {
    this.#options = options;
    this.#sentMs = options.clock.monotonicMs();
    const { rttMs } = options;
    this.#schedule(
      rttMs === undefined
        ? FIRST_FLIGHT_DELAYS_MS
        : FIRST_FLIGHT_ROUND_TRIPS.map((roundTrips) => roundTrips * rttMs),
    );
  }

  get isOver(): boolean {
    return this.#stage === "over";
  }

  sent(datagram: Uint8Array, to: SocketAddress): void {
    if (this.#stage !== "over") this.#flight.add(datagram, to);
  }

  received(): void {
    // The client repeats by the clock.
  }

  retried(): void {
    if (this.#stage === "first") this.#flight.forget();
  }

  established(): void {
    if (this.#stage !== "first") return;
    this.#stage = "second";
    this.#stop();
    this.#flight.forget();
    const rttMs = this.#options.rttMs ?? this.#options.clock.monotonicMs() - this.#sentMs;
    this.#schedule(SECOND_FLIGHT_ROUND_TRIPS.map((roundTrips) => roundTrips * rttMs));
  }

  confirmed(): void {
    if (this.#stage !== "second") return;
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#stage = "over";
    this.#stop();
    this.#flight.forget();
  }

  #schedule(delaysMs: readonly number[]): void {
    this.#timers = delaysMs.map((delayMs) =>
      this.#options.clock.setTimer(Math.max(REPEAT_DELAY_MS_MIN, delayMs), () => {
        this.#sentMs = this.#options.clock.monotonicMs();
        this.repeats += this.#flight.repeat(this.#options.send);
      }),
    );
  }

  #stop(): void {
    for (const timer of this.#timers.splice(0)) timer[Symbol.dispose]();
  }
}

export interface ServerFlightsOptions {
  readonly clock: Clock;
  readonly send: SendCopy;
  /** The client has shown a token, so its address is its own (RFC 9000 §8.1.2). */
  readonly isValidated: boolean;
}

/** The server's flights, repeated when the client's are; never past three times what an unvalidated address has sent. */
export class ServerFlights implements HandshakeFlights {
  readonly #options: ServerFlightsOptions;
  readonly #flight = new Flight();
  #receivedBytes = 0;
  #sentBytes = 0;
  #isValidated: boolean;
  #rounds = 0;
  #stage: "first" | "second" | "over" = "first";
  #timer: Disposable | undefined;
  repeats = 0;

  constructor(options: ServerFlightsOptions) {
    this.#options = options;
    this.#isValidated = options.isValidated;
  }

  /** The library keeps to the bound by itself, but knows nothing of our repeats. */
  get isBlocked(): boolean {
    return (
      this.repeats > 0 &&
      !this.#isValidated &&
      this.#sentBytes + DATAGRAM_BYTES_MAX > AMPLIFICATION_MAX * this.#receivedBytes
    );
  }

  get isOver(): boolean {
    return this.#stage === "over";
  }

  sent(datagram: Uint8Array, to: SocketAddress): void {
    if (this.#stage === "over") return;
    this.#sentBytes += datagram.length;
    this.#flight.add(datagram, to);
  }

  received(bytes: number, isRepeated: boolean): void {
    this.#receivedBytes += bytes;
    if (isRepeated && this.#sentBytes > 0) this.#repeat();
  }

  established(): void {
    if (this.#stage !== "first") return;
    // The client's second flight came, so its address is its own.
    this.#isValidated = true;
    this.#stage = "second";
    this.#flight.forget();
    this.#timer = this.#options.clock.setTimer(SECOND_FLIGHT_KEPT_MS, () => this[Symbol.dispose]());
  }

  confirmed(): void {
    // Requests come behind the client's second flight at once: they do not say that the server's last one has come.
  }

  retried(): void {
    // Servers send them.
  }

  [Symbol.dispose](): void {
    this.#stage = "over";
    this.#timer?.[Symbol.dispose]();
    this.#flight.forget();
  }

  #repeat(): void {
    const { bytes } = this.#flight;
    // Anybody on the way can send a client's flight again and again.
    this.#rounds += 1;
    if (this.#rounds > ROUNDS_MAX) return;
    const mayRepeat = this.#isValidated || this.#sentBytes + bytes <= AMPLIFICATION_MAX * this.#receivedBytes;
    if (this.#stage === "over" || !mayRepeat) return;
    this.#sentBytes += bytes;
    this.repeats += this.#flight.repeat(this.#options.send);
  }
}
