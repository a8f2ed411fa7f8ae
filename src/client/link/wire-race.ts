/**
 * Two wires to one gatehouse: QUIC first, gRPC over TCP a quarter of a second later, or at once where QUIC cannot be or UDP
 * failed lately. Whichever stands first carries the calls; QUIC takes over when it stands later. While calls go over TCP,
 * QUIC is tried again and again.
 */
import { type Clock, GatehouseError, isGatehouseError, LIMITS } from "../../core/index.ts";
import { pause } from "../pause.ts";
import type { Carriage, Dialled, DialOptions, MoveOn } from "./lane.ts";
import { isPassing } from "./link-failures.ts";
import { OnWire, type Unwired, WHY, type Wire } from "./wire.ts";
import type { UdpHistory } from "./wire-memory.ts";

/** Makes connections on one wire. */
export type WireDial = (options: WireDialOptions) => Promise<Unwired>;
export interface WireDialOptions extends Omit<DialOptions, "onMoveOn" | "onBetter"> {
  readonly onMoveOn: (reason: MoveOn) => void;
}

export interface WireRaceParts {
  /** Undefined where there is no such way. One of both is there. */
  readonly quic: WireDial | undefined;
  readonly grpc: WireDial | undefined;
  /** Why there is one way only, when there is. */
  readonly only?: string | undefined;
  readonly udp: UdpHistory;
  readonly clock: Clock;
}

/** Dials until one wire stands. @throws GatehouseError the gatehouse's verdict, or why QUIC could not be, or TCP */
export async function raceWires(parts: WireRaceParts, options: DialOptions): Promise<Dialled> {
  return await new WireRace(parts, options).run();
}

interface Attempt {
  readonly controller: AbortController;
  state: "on its way" | "usable" | "open" | "failed";
}

class WireRace {
  readonly #parts: WireRaceParts;
  readonly #options: DialOptions;
  readonly #startedMs: number;
  #settle: { resolve(dialled: Dialled): void; reject(failure: unknown): void } | undefined;
  #quic: Attempt | undefined;
  #grpc: Attempt | undefined;
  #headStart: Disposable | undefined;
  #failure: unknown;
  #why: string = WHY.silent;

  constructor(parts: WireRaceParts, options: DialOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#startedMs = parts.clock.monotonicMs();
  }

  run(): Promise<Dialled> {
    const { quic, only, udp } = this.#parts;
    return new Promise((resolve, reject) => {
      this.#options.signal.throwIfAborted();
      if (quic === undefined && this.#parts.grpc === undefined) throw noWire();
      this.#settle = { resolve, reject };
      if (quic === undefined) {
        this.#why = only ?? WHY.absent;
        this.#startGrpc();
        return;
      }
      this.#startQuic(quic);
      this.#armGrpc();
      udp.hasFailed().then(
        (hasFailed) => {
          if (hasFailed && this.#settle !== undefined) this.#startGrpc();
        },
        () => undefined,
      );
    });
  }

  #startQuic(dial: WireDial): void {
    const attempt = this.#attempt();
    this.#quic = attempt;
    this.#dial(dial, "quic", attempt).then(
      (dialled) => {
        if (dialled.connection.isEarly) this.#quicUsable(attempt, dialled);
        else this.#quicOpen(attempt, dialled);
      },
      (failure: unknown) => this.#quicFailed(attempt, failure),
    );
  }

  #armGrpc(): void {
    if (this.#parts.grpc === undefined) return;
    this.#headStart = this.#parts.clock.setTimer(LIMITS.tcpAfterMs, () => this.#startGrpc());
  }

  #startGrpc(): void {
    this.#headStart?.[Symbol.dispose]();
    const { grpc } = this.#parts;
    if (grpc === undefined || this.#grpc !== undefined || this.#quic?.state === "open") return;
    const attempt = this.#attempt();
    this.#grpc = attempt;
    this.#dial(grpc, "grpc", attempt).then(
      (dialled) => this.#grpcOpen(attempt, dialled),
      (failure: unknown) => this.#grpcFailed(attempt, failure),
    );
  }

  /** Its calls may be lost: it is not settled yet which wire carries them. */
  #quicUsable(attempt: Attempt, dialled: OnWire): void {
    attempt.state = "usable";
    this.#offer(dialled, WHY.first);
    dialled.connection.opened.then(
      () => this.#quicOpen(attempt, undefined),
      (failure: unknown) => this.#quicFailed(attempt, failure),
    );
  }

  #quicOpen(attempt: Attempt, dialled: OnWire | undefined): void {
    attempt.state = "open";
    this.#headStart?.[Symbol.dispose]();
    const isLate = this.#grpc?.state === "open";
    if (this.#grpc?.state === "on its way") this.#grpc.controller.abort();
    if (dialled !== undefined) this.#offer(dialled, isLate ? WHY.back : WHY.first);
    void this.#parts.udp.worked();
  }

  #quicFailed(attempt: Attempt, failure: unknown): void {
    // A ticket that did not work says nothing of the wire.
    const wasHeard = attempt.state === "usable" && isGatehouseError(failure, "quic.closed");
    attempt.state = "failed";
    this.#failure = failure;
    this.#why = whyOf(failure);
    if (this.#grpc?.state === "open") return;
    if (wasHeard || isVerdict(failure) || this.#parts.grpc === undefined || this.#grpc?.state === "failed") {
      this.#grpc?.controller.abort();
      this.#headStart?.[Symbol.dispose]();
      this.#fail(failure);
    } else this.#startGrpc();
  }

  #grpcOpen(attempt: Attempt, dialled: OnWire): void {
    attempt.state = "open";
    if (this.#quic?.state === "open" || this.#options.signal.aborted) {
      void dialled[Symbol.asyncDispose]();
      return;
    }
    this.#offer(dialled, this.#why);
    if (this.#quic === undefined) return;
    if (this.#why !== WHY.unsupported) {
      void this.#parts.udp.failed();
      void this.#probe(dialled.connection);
    }
  }

  #grpcFailed(attempt: Attempt, failure: unknown): void {
    attempt.state = "failed";
    if (attempt.controller.signal.aborted) return;
    if (isVerdict(failure)) {
      this.#quic?.controller.abort();
      this.#headStart?.[Symbol.dispose]();
      this.#fail(failure);
    } else if (this.#quic === undefined || this.#quic.state === "failed") {
      this.#fail(this.#quic === undefined || isUnsupported(this.#failure) ? failure : this.#failure);
    }
  }

  /** For as long as calls may go over `carriage`: QUIC, again and again, until it stands. */
  async #probe(carriage: Carriage): Promise<void> {
    const { quic, clock, udp } = this.#parts;
    if (quic === undefined) return;
    const over = new AbortController();
    void carriage.closed.then(() => over.abort());
    let waitMs: number = LIMITS.udpProbeMs;
    while (await pause(clock, waitMs, over.signal)) {
      if (this.#quic?.state === "open") return;
      waitMs = Math.min(2 * waitMs, LIMITS.udpProbeMaxMs);
      try {
        const dialled = await this.#dial(quic, "quic", { controller: over, state: "on its way" }, PROBE);
        await udp.worked();
        this.#offer(dialled, WHY.back);
        return;
      } catch {
        // Not yet.
      }
    }
  }

  #attempt(): Attempt {
    return { controller: new AbortController(), state: "on its way" };
  }

  async #dial(
    dial: WireDial,
    wire: Wire,
    attempt: Attempt,
    other: Partial<DialOptions> = {},
  ): Promise<OnWire> {
    const { signal, timeoutMs, onMoveOn } = this.#options;
    let onWire: OnWire | undefined;
    const passedMs = this.#parts.clock.monotonicMs() - this.#startedMs;
    const dialled = await dial({
      ...this.#options,
      timeoutMs: Math.max(1, timeoutMs - passedMs),
      ...other,
      signal: AbortSignal.any([signal, attempt.controller.signal]),
      onMoveOn: (reason) => {
        if (onWire !== undefined) onMoveOn(reason, onWire);
      },
    });
    onWire = new OnWire(dialled, wire);
    return onWire;
  }

  #fail(failure: unknown): void {
    this.#settle?.reject(failure);
    this.#settle = undefined;
  }

  /** To whoever waits for a first connection, or to the link, which has one. */
  #offer(dialled: OnWire, reason: string): void {
    dialled.reason = reason;
    const settle = this.#settle;
    this.#settle = undefined;
    if (settle !== undefined) settle.resolve(dialled);
    else this.#options.onBetter(dialled);
  }
}

/** The gatehouse itself has spoken: it would say the same over the other wire. */
function isVerdict(failure: unknown): boolean {
  if (!(failure instanceof GatehouseError)) return true;
  return !isPassing(failure) && !isUnsupported(failure) && !UNSURE_OF.has(failure.code);
}

/** By certificates, and in its own time: a call's deadline may have set the first one's. */
const PROBE = {
  resumption: { session: undefined, rttMs: undefined },
  timeoutMs: LIMITS.handshakeMs,
} as const;

function noWire(): GatehouseError {
  return new GatehouseError("quic.unreachable", "the gatehouse does not serve the wire that was asked for", {
    hint: "leave the wire open: whichever gets through is taken then",
  });
}

/** On one port may be what is not on the other. */
const UNSURE_OF = new Set(["quic.wrong-server", "quic.bad-address"]);

function isUnsupported(failure: unknown): boolean {
  return isGatehouseError(failure, "quic.unsupported-platform");
}

function whyOf(failure: unknown): string {
  if (isUnsupported(failure)) return WHY.unsupported;
  return isGatehouseError(failure, "quic.unreachable") ? WHY.refused : WHY.silent;
}
