import type { Dialled } from "./lane.ts";

/** What carries calls: QUIC over UDP, or gRPC over TCP for whom UDP does not reach. */
export type Wire = "quic" | "grpc";

/** Why calls go over the wire they do, for people. */
export const WHY = {
  first: "QUIC is tried first",
  back: "UDP gets through again",
  silent: "UDP gets no answer there",
  refused: "nothing listens there on UDP",
  unsupported: "the QUIC library has no binary for this platform",
  wished: "no other wire was wanted",
  absent: "the gatehouse serves no QUIC",
} as const;

/** Calls go over another wire from now on, or over their first. */
export interface WireChange {
  readonly wire: Wire;
  /** Undefined for the first. */
  readonly before: Wire | undefined;
  /** For people. */
  readonly reason: string;
}

export type Unwired = Omit<Dialled, "wire" | "reason">;

/** A connection, and why it is on its wire. */
export class OnWire implements Dialled {
  readonly wire: Wire;
  reason = "";
  readonly #dialled: Unwired;

  constructor(dialled: Unwired, wire: Wire) {
    this.#dialled = dialled;
    this.wire = wire;
  }

  get connection(): Dialled["connection"] {
    return this.#dialled.connection;
  }

  get handshakeMs(): number {
    return this.#dialled.handshakeMs;
  }

  migrate(): Promise<void> {
    return this.#dialled.migrate();
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#dialled[Symbol.asyncDispose]();
  }
}
