import type { Socket } from "node:net";
import { type Clock, LIMITS, sourceOf } from "../core/index.ts";

/** What came and what became of it, since the start. */
export interface GrpcServerCounters {
  accepted: number;
  admitted: number;
  refused: number;
  /** Handshakes that TLS ended: a stranger's certificate, none, or another protocol. */
  failedHandshakes: number;
  handshakeTimeouts: number;
  overLimit: number;
}

export interface NewcomerLimits {
  readonly connections: number;
  readonly handshakes: number;
  readonly handshakesPerSource: number;
  readonly handshakeMs: number;
  readonly failedSources: number;
  readonly failuresPerSource: number;
  readonly failureMs: number;
}

/** Of one source, since it was last without one for `failureMs`. */
interface Failures {
  readonly count: number;
  /** On the monotonic clock. */
  readonly untilMs: number;
}

interface Newcomer {
  readonly source: string;
  readonly deadline: Disposable;
}

/** Connections on their way through TLS: bounded by source and in all, and each in time. */
export class Newcomers {
  readonly counters: GrpcServerCounters = {
    ...{ accepted: 0, admitted: 0, refused: 0, failedHandshakes: 0, handshakeTimeouts: 0, overLimit: 0 },
  };
  readonly #limits: NewcomerLimits;
  readonly #clock: Clock;
  readonly #waiting = new Map<string, Newcomer>();
  readonly #bySource = new Map<string, number>();
  /** The longest without a failure first. */
  readonly #failed = new Map<string, Failures>();

  constructor(clock: Clock, limits: Partial<NewcomerLimits> = {}) {
    this.#clock = clock;
    this.#limits = { ...LIMITS, ...limits };
  }

  /** Ends what there is no room for; answers whether there was. `openCount`: connections past this. */
  begin(socket: Socket, openCount: number): boolean {
    const key = keyOf(socket);
    const source = sourceOf(socket.remoteAddress ?? "");
    const own = this.#bySource.get(source) ?? 0;
    const { connections, handshakes, handshakesPerSource, handshakeMs } = this.#limits;
    const isFull = this.#waiting.size >= handshakes || openCount + this.#waiting.size >= connections;
    const hasFailedTooOften = this.#failuresOf(source) >= this.#limits.failuresPerSource;
    if (isFull || hasFailedTooOften || own >= handshakesPerSource || this.#waiting.has(key)) {
      this.counters.overLimit += 1;
      socket.destroy();
      return false;
    }
    this.counters.accepted += 1;
    this.#bySource.set(source, own + 1);
    const deadline = this.#clock.setTimer(handshakeMs, () => {
      this.counters.handshakeTimeouts += 1;
      this.end(key, "failed");
      socket.destroy();
    });
    this.#waiting.set(key, { source, deadline });
    socket.once("close", () => {
      if (this.end(key, "failed")) this.counters.failedHandshakes += 1;
    });
    return true;
  }

  /** The handshake is over. False when it was so before. */
  end(key: string, outcome: "done" | "failed"): boolean {
    const newcomer = this.#waiting.get(key);
    if (newcomer === undefined) return false;
    this.#waiting.delete(key);
    newcomer.deadline[Symbol.dispose]();
    const own = (this.#bySource.get(newcomer.source) ?? 1) - 1;
    if (own === 0) this.#bySource.delete(newcomer.source);
    else this.#bySource.set(newcomer.source, own);
    if (outcome === "failed") this.#fail(newcomer.source);
    return true;
  }

  /** Whether a handshake from there has failed lately. */
  hasFailed(socket: Socket): boolean {
    return this.#failuresOf(sourceOf(socket.remoteAddress ?? "")) > 0;
  }

  #failuresOf(source: string): number {
    const { count, untilMs } = this.#failed.get(source) ?? NONE;
    return untilMs > this.#clock.monotonicMs() ? count : 0;
  }

  #fail(source: string): void {
    const count = this.#failuresOf(source) + 1;
    this.#failed.delete(source);
    this.#failed.set(source, { count, untilMs: this.#clock.monotonicMs() + this.#limits.failureMs });
    for (const oldest of this.#failed.keys()) {
      if (this.#failed.size <= this.#limits.failedSources) break;
      this.#failed.delete(oldest);
    }
  }
}

const NONE: Failures = { count: 0, untilMs: 0 };

/** The same for a connection's socket and for TLS on it. */
export function keyOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress}|${remotePort}|${localAddress}|${localPort}`;
}
