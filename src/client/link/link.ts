/**
 * A gatehouse as calls see it: one connection after another, of which they notice nothing.
 *
 * Calls go on the newest connection. While that one's handshake is under way, those without side effects go at once as
 * early data; the others wait. A connection that the gatehouse wants replaced is replaced while its calls end; one that is
 * lost is made anew by the next call, and the calls it took along are sent again, once, under their request ids.
 */
import { type Clock, LIMITS, type Random } from "../../core/index.ts";
import type { CallStream, MayRepeat, OpenStream, PendingCall } from "../../rpc/index.ts";
import { pause } from "../pause.ts";
import { Backoff } from "./backoff.ts";
import { type Dialer, type Dialled, type HandshakeFacts, Lane, type MoveOn } from "./lane.ts";
import { Lanes } from "./lanes.ts";
import { closedHere, isLost, isPassing, isUnsure } from "./link-failures.ts";
import type { Resumption } from "./tickets.ts";
import type { Wire, WireChange } from "./wire.ts";

/** An early call that was taken has its answer on the way when the handshake is over. */
const EARLY_GRACE_MS = 50;
const RECYCLE_ATTEMPTS_MAX = 5;
/** A gatehouse that shuts down says so each time it is asked; every further time costs a longer pause. */
const DRAINED_ATTEMPTS_MAX = 8;

/** `early`: calls may go before the handshake is over. `handshake`: tickets only shorten it. `none`: certificates. */
export type ResumptionMode = "early" | "handshake" | "none";

export interface LinkOptions {
  readonly dialer: Dialer;
  readonly clock: Clock;
  readonly random: Random;
  readonly resumption: ResumptionMode;
  /** Calls go over another wire from now on. */
  readonly onWire?: ((change: WireChange) => void) | undefined;
}

export interface FirstDial {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export class Link implements AsyncDisposable {
  readonly #options: LinkOptions;
  readonly #backoff: Backoff;
  readonly #gone = new AbortController();
  readonly #lanes: Lanes;
  /** Calls that a lost connection took along once. */
  readonly #repeated = new WeakSet<PendingCall>();
  /** Calls that wait for a connection. */
  readonly #waiting = new Set<PendingCall>();
  #lane: Lane | undefined;
  /** The newest that there ever was. */
  #latest: Lane | undefined;
  #connecting: Promise<void> | undefined;
  #wasOpen = false;
  #isRescuing = false;
  /** The last handshake by ticket came to nothing. */
  #distrustsTickets = false;

  private constructor(options: LinkOptions) {
    this.#options = options;
    this.#lanes = new Lanes(options.clock);
    this.#backoff = new Backoff(options.clock, options.random);
  }

  /** Connects once. @throws GatehouseError what the dialer throws; rpc.cancelled */
  static async open(options: LinkOptions, { timeoutMs, signal }: FirstDial): Promise<Link> {
    const link = new Link(options);
    // Connecting may be given up by it, and nothing that comes later.
    const connecting = new AbortController();
    const giveUp = (): void => connecting.abort(signal?.reason);
    signal?.addEventListener("abort", giveUp, { once: true });
    if (signal?.aborted === true) giveUp();
    try {
      link.#use(await link.#dial(timeoutMs, connecting.signal));
      return link;
    } catch (failure) {
      await link[Symbol.asyncDispose]();
      throw failure;
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
  }

  /** Connects when a call wants it; what keeps the gatehouse from being reached is what that call fails with. */
  static whenNeeded(options: LinkOptions): Link {
    return new Link(options);
  }

  /** A call would go out at once. */
  get isOpen(): boolean {
    const lane = this.#lane;
    return lane?.isReady === true && lane.connection.isOpen;
  }

  get handshake(): HandshakeFacts {
    return this.#latest?.handshake ?? { isResumed: false, earlyData: "none" };
  }

  /** Of the newest connection; not a number before it has opened. */
  get handshakeMs(): number {
    return this.#latest?.dialled.handshakeMs ?? Number.NaN;
  }

  /** Moves the connection in use, if there is one. @throws quic.closed, quic.timed-out, quic.limit */
  async migrate(): Promise<void> {
    const lane = this.#lane;
    try {
      await lane?.dialled.migrate();
    } catch (failure) {
      // A connection that was left meanwhile need not move: its successor was made on the network of now.
      if (this.#lane === lane) throw failure;
    }
  }

  /** What the newest connection goes over, and why. */
  get wire(): Wire {
    return this.#latest?.dialled.wire ?? "quic";
  }

  get wireReason(): string {
    return this.#latest?.dialled.reason ?? "";
  }

  get rttMs(): number | undefined {
    return this.#latest?.connection.rttMs;
  }

  /** For calls without side effects. */
  readonly openSoonest: OpenStream = (call) => {
    const lane = this.#lane;
    if (lane === undefined || !lane.isReady || !lane.connection.isOpen) return this.#openSlowly(call, true);
    return lane.open(call);
  };

  /** For all others: they never travel in early data. */
  readonly openAfterHandshake: OpenStream = (call) => {
    const lane = this.#lane;
    if (lane === undefined || !lane.isReady || !lane.connection.isOpen) return this.#openSlowly(call, false);
    return lane.open(call);
  };

  /** For calls with one answer: without side effects, or recognized by their request id. */
  readonly mayRepeat: MayRepeat = (call, failure) => {
    const lane = call.carrier;
    if (this.#gone.signal.aborted || !(lane instanceof Lane)) return false;
    const wasEarly = lane.early.delete(call);
    if (failure.code === "rpc.too-early") {
      if (wasEarly) lane.earlyRefused();
      return wasEarly;
    }
    if (!lane.isReady) return this.#givesUpOn(lane, failure);
    if (this.#options.dialer.mends(failure)) return true;
    if (failure.code === "rpc.draining") {
      this.#leave(lane);
      return call.attempts < DRAINED_ATTEMPTS_MAX;
    }
    // A connection that was worn out and not left in time ends as one that is too much.
    const isWorn = lane.isWornOut && failure.code === "quic.limit";
    if (!(isLost(failure) || isWorn) || this.#repeated.has(call)) return false;
    this.#repeated.add(call);
    return true;
  };

  /** Ends everything: calls in flight and calls that wait. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#gone.abort(closedHere());
    this.#lanes.stopTimers();
    this.#lane = undefined;
    // A reply to early data comes with the end of the gatehouse's handshake: ours leaves at the end of the turn. Without it
    // the gatehouse would take this device for one that does not finish its handshakes.
    await new Promise((resolve) => setImmediate(resolve));
    await this.#lanes[Symbol.asyncDispose]();
  }

  #openSlowly(call: PendingCall, mayBeEarly: boolean): CallStream | Promise<CallStream> {
    if (this.#gone.signal.aborted) throw closedHere();
    const lane = this.#lane;
    if (lane === undefined || (lane.isReady && !lane.connection.isOpen))
      return this.#openAnew(call, mayBeEarly);
    if (lane.isReady) return lane.open(call);
    if (mayBeEarly && lane.mayTakeEarly(call)) return lane.openEarly(call);
    return this.#openWhenReady(lane, call, mayBeEarly);
  }

  async #openWhenReady(lane: Lane, call: PendingCall, mayBeEarly: boolean): Promise<CallStream> {
    try {
      await lane.ready;
    } catch (failure) {
      if (!this.#givesUpOn(lane, failure)) throw failure;
    }
    if (call.isOver) throw closedHere();
    return await this.#openSlowly(call, mayBeEarly);
  }

  async #openAnew(call: PendingCall, mayBeEarly: boolean): Promise<CallStream> {
    this.#waiting.add(call);
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    try {
      await this.#connecting;
    } finally {
      this.#waiting.delete(call);
    }
    if (call.isOver) throw closedHere();
    return await this.#openSlowly(call, mayBeEarly);
  }

  /** Tries until there is a connection, nobody waits for one any more, or it is plain that there will be none. */
  async #connect(): Promise<void> {
    const { clock } = this.#options;
    const endsMs = clock.monotonicMs() + LIMITS.reconnectMs;
    let last: unknown;
    if (this.#lane !== undefined) this.#drop(this.#lane);
    for (;;) {
      if (!(await pause(clock, this.#backoff.delayMs(), this.#gone.signal))) throw closedHere();
      const leftMs = Math.min(endsMs, this.#latestDeadlineMs()) - clock.monotonicMs();
      if (leftMs <= 0) throw last ?? closedHere();
      try {
        const lane = await this.#dial(Math.min(leftMs, LIMITS.handshakeMs));
        const isThere = this.#lane?.isReady === true && this.#lane.connection.isOpen;
        // Another one may have come up meanwhile.
        if (isThere) this.#lanes.close(lane);
        else this.#use(lane);
        return;
      } catch (failure) {
        last = failure;
        this.#backoff.failed();
        if (!isPassing(failure) || !this.#wasOpen) throw this.#gone.signal.aborted ? closedHere() : failure;
      }
    }
  }

  /** Of the calls that wait: past it nobody wants a connection. */
  #latestDeadlineMs(): number {
    let latestMs = Number.NEGATIVE_INFINITY;
    for (const { isOver, deadlineMs } of this.#waiting) {
      if (!isOver) latestMs = Math.max(latestMs, deadlineMs);
    }
    return latestMs;
  }

  /** One connection: by ticket where there is one, and by certificates when that fails for reasons of its own. */
  async #dial(timeoutMs: number, signal?: AbortSignal): Promise<Lane> {
    const { clock } = this.#options;
    const endsMs = clock.monotonicMs() + timeoutMs;
    const resumption = await this.#resumption();
    try {
      return await this.#dialOnce(resumption, timeoutMs, signal);
    } catch (failure) {
      const leftMs = endsMs - clock.monotonicMs();
      if (resumption.session === undefined || !isUnsure(failure) || leftMs <= 0) throw failure;
      return await this.#dialOnce({ ...resumption, session: undefined }, leftMs, signal);
    }
  }

  async #resumption(): Promise<Resumption> {
    const { resumption, dialer } = this.#options;
    const isWanted = resumption !== "none" && !this.#distrustsTickets;
    return await dialer.resumption(isWanted ? "ticket" : "no-ticket");
  }

  async #dialOnce(resumption: Resumption, timeoutMs: number, signal?: AbortSignal): Promise<Lane> {
    const { dialer, resumption: mode } = this.#options;
    const gone = this.#gone.signal;
    const dialling = dialer.dial({
      ...{ resumption, timeoutMs },
      signal: signal === undefined ? gone : AbortSignal.any([signal, gone]),
      onMoveOn: (reason, moved) => {
        const lane = this.#lanes.of(moved);
        if (lane !== undefined) this.#moveOn(lane, reason);
      },
      onBetter: (better) => this.#better(better),
    });
    this.#lanes.holdUntil(dialling);
    const lane = this.#laneOn(await dialling, resumption.session !== undefined);
    if (gone.aborted) {
      this.#lanes.close(lane);
      throw closedHere();
    }
    if (mode !== "early") await this.#untilReady(lane);
    return lane;
  }

  #laneOn(dialled: Dialled, hadTicket: boolean): Lane {
    const lane = new Lane({
      ...{ dialled, hadTicket, clock: this.#options.clock },
      silent: (silent) => void this.#rescue(silent),
    });
    this.#watch(lane);
    return lane;
  }

  /** A connection that was dialled beside the one in use stands: over the other wire, as a rule. */
  #better(dialled: Dialled): void {
    const old = this.#lane;
    const isGood = old?.isReady === true && old.connection.isOpen;
    const lane = this.#laneOn(dialled, false);
    if (this.#gone.signal.aborted || (isGood && (old.dialled.wire === "quic" || dialled.wire === "grpc"))) {
      this.#lanes.close(lane);
      return;
    }
    this.#wasOpen = true;
    this.#use(lane);
    if (old === undefined) return;
    if (old.isReady) this.#lanes.retire(old);
    else {
      this.#repeatEarly(old);
      this.#lanes.close(old);
    }
  }

  async #untilReady(lane: Lane): Promise<void> {
    try {
      await lane.ready;
    } catch (failure) {
      this.#lanes.close(lane);
      throw failure;
    }
  }

  #watch(lane: Lane): void {
    this.#lanes.add(lane);
    void lane.connection.closed.then((failure) => {
      if (lane.isReady) this.#options.dialer.mends(failure);
      this.#drop(lane);
    });
    lane.ready.then(
      () => this.#opened(lane),
      () => {
        this.#distrustsTickets ||= lane.hadTicket;
      },
    );
  }

  #use(lane: Lane): void {
    const before = this.#latest?.dialled.wire;
    this.#latest = lane;
    const { wire, reason } = lane.dialled;
    if (wire !== before) queueMicrotask(() => this.#options.onWire?.({ wire, before, reason }));
    // It may have died on the way here.
    if (this.#lanes.has(lane)) this.#lane = lane;
  }

  #opened(lane: Lane): void {
    this.#wasOpen = true;
    this.#distrustsTickets = false;
    this.#backoff.opened();
    if (lane.early.size === 0) return;
    if (!lane.handshake.isResumed) {
      this.#repeatEarly(lane);
      return;
    }
    const graceMs = Math.max(2 * (lane.connection.rttMs ?? 0), EARLY_GRACE_MS);
    this.#lanes.after(graceMs, () => this.#repeatEarly(lane));
  }

  #repeatEarly(lane: Lane): void {
    const lost = [...lane.early].filter(({ isOver }) => !isOver);
    lane.early.clear();
    if (lost.length > 0) lane.earlyRefused();
    for (const call of lost) call.repeat();
  }

  /** Whether calls may hope for another connection after one whose handshake has failed; then it is dropped. */
  #givesUpOn(lane: Lane, failure: unknown): boolean {
    if (this.#gone.signal.aborted) return false;
    const mayComeBack = this.#wasOpen && isPassing(failure);
    const isTicket = lane.hadTicket && isUnsure(failure);
    if (!mayComeBack && !isTicket && !this.#options.dialer.hasOtherWay(failure)) return false;
    this.#distrustsTickets ||= lane.hadTicket;
    this.#drop(lane);
    return true;
  }

  #moveOn(lane: Lane, reason: MoveOn): void {
    lane.isWornOut ||= reason === "recycle";
    if (reason === "going-away") this.#leave(lane);
    else if (lane === this.#lane) void this.#replace(lane);
  }

  /** No more calls on this one, and some time before the next connection is tried. */
  #leave(lane: Lane): void {
    if (lane !== this.#lane) return;
    this.#lane = undefined;
    this.#backoff.failed();
    this.#lanes.retire(lane);
  }

  /** Makes the next connection while calls go on, on the old one. */
  async #replace(old: Lane): Promise<void> {
    for (let attempt = 1; attempt <= RECYCLE_ATTEMPTS_MAX; attempt += 1) {
      try {
        const lane = await this.#dial(LIMITS.handshakeMs);
        await this.#untilReady(lane);
        this.#swap(old, lane);
        return;
      } catch {
        const delayMs = LIMITS.reconnectPauseMs * 4 ** attempt;
        if (!(await pause(this.#options.clock, delayMs, this.#gone.signal)) || this.#lane !== old) return;
      }
    }
  }

  /** A connection on which nothing is heard: if another one can be had and this one stays silent, its calls move. */
  async #rescue(old: Lane): Promise<void> {
    if (old !== this.#lane || this.#isRescuing) return;
    this.#isRescuing = true;
    try {
      // With early data it would not be seen which wire stands.
      const resumption = await this.#options.dialer.resumption("no-ticket");
      const lane = await this.#dialOnce(resumption, LIMITS.handshakeMs);
      await this.#untilReady(lane);
      const isDead = old === this.#lane && old.vigil.isStillSilent;
      if (isDead) this.#use(lane);
      this.#lanes.close(isDead ? old : lane);
    } catch {
      // Nobody is there at all, or not yet: the calls wait on.
    } finally {
      this.#isRescuing = false;
    }
  }

  #swap(old: Lane, lane: Lane): void {
    if (this.#lane !== old) {
      this.#lanes.close(lane);
      return;
    }
    this.#use(lane);
    this.#lanes.retire(old);
  }

  /** The connection is gone, or no good. */
  #drop(lane: Lane): void {
    if (lane === this.#lane) {
      this.#lane = undefined;
      // What comes after a ticket that did not work is tried at once.
      if (lane.isReady) this.#backoff.lost();
    }
    this.#lanes.close(lane);
  }
}
