import { GatehouseError, LIMITS } from "../core/index.ts";
import type { SocketAddress } from "./address.ts";
import { CLOSE_CODES, type CloseCause, endReason } from "./close-codes.ts";
import { CONNECTION_ID_BYTES, ConnectionIds } from "./connection-ids.ts";
import type { ConnectionOptions, Handshake } from "./connection-options.ts";
import { Gate } from "./gate.ts";
import { ClientFlights, type HandshakeFlights, ServerFlights } from "./handshake-flights.ts";
import { KeepAlive } from "./keep-alive.ts";
import { LazyTimer } from "./lazy-timer.ts";
import type { NativeConnection } from "./native.ts";
import { Pacer } from "./pacer.ts";
import { type CoalescedPacket, isLong } from "./packet.ts";
import { PacketWriter } from "./packet-writer.ts";
import { Paths } from "./paths.ts";
import type { QuicStream } from "./stream.ts";
import { type OnStream, type Signal, StreamTable } from "./stream-table.ts";
import { Wear } from "./wear.ts";

/** The library's events are drained, and the connection's wear is looked at, at least this often. */
const PACKETS_PER_DRAIN = 64;
/** Transport codes from here on are TLS alerts (RFC 9001 §4.8): the packet decrypted, what it said was refused. */
const TLS_ALERT_BASE = 0x100;
/** A smaller delay is not worth a timer. */
const NEXT_TURN_MS = 0;

type State =
  | { readonly kind: "handshaking" }
  | { readonly kind: "open" }
  | { readonly kind: "closed"; readonly error: GatehouseError };

/** One QUIC connection (RFC 9000 §5), either end: the pump around a native connection. */
export class QuicConnection {
  /** Settles once, when the connection can carry nothing more, with the reason. */
  readonly closed: Promise<GatehouseError>;
  /** Settles when the peer is admitted, or with why it was not. */
  readonly opened: Promise<Handshake>;
  /** Servers: the client's first destination connection id, latin1. */
  readonly originalId: string | undefined;
  readonly paths: Paths;
  readonly #options: ConnectionOptions;
  readonly #native: NativeConnection;
  readonly #gate: Gate;
  readonly #streams: StreamTable;
  readonly #writer: PacketWriter;
  readonly #ids: ConnectionIds;
  readonly #wear: Wear;
  readonly #timer: LazyTimer;
  readonly #paceTimer: LazyTimer;
  readonly #flights: HandshakeFlights;
  #state: State = { kind: "handshaking" };
  #isEstablished = false;
  #hasFedEarly = false;
  #hasRefusedEarly = false;
  #wantsSession: boolean;
  #flightBytesMax: () => number = () => LIMITS.flightBytesPerDevice;
  /** Of the datagram being read. */
  #recvInfo: { from: SocketAddress; to: SocketAddress };
  #handshake: Handshake | undefined;
  #packetsSinceDrain = 0;
  readonly #keepAlive: KeepAlive | undefined;
  #hasSignalled = false;
  #isGone = false;
  #settleClosed: (error: GatehouseError) => void = () => undefined;
  #settleOpened: { resolve(handshake: Handshake): void; reject(error: GatehouseError): void } | undefined;

  constructor(options: ConnectionOptions) {
    const { native, role, logger, scratch, clock, random, routes, socket, remote } = options;
    this.#options = options;
    this.#native = native;
    this.#timer = new LazyTimer(clock, () => this.#timerFired());
    this.#paceTimer = new LazyTimer(clock, () => options.schedule(this));
    this.#recvInfo = { from: remote, to: socket.address };
    this.#gate = new Gate(
      (packet) => this.#feedPacket(packet),
      () => this.#tryAdmit(),
    );
    this.#streams = new StreamTable({
      ...{ native, role, logger, scratch, clock },
      schedule: () => options.schedule(this),
      refuse: (reason) => this.close("limit", reason),
      onSignal: (signal) => options.onSignal?.(signal),
    });
    this.#ids = new ConnectionIds(native, random, routes);
    this.#wear = new Wear(clock.monotonicMs());
    const pacer = new Pacer(
      clock,
      () => this.paths.rate,
      () => this.#flightBytesMax(),
    );
    this.#writer = new PacketWriter({ native, socket, pacer, sent: () => this.#wear.sent() });
    const { schedule } = options;
    this.paths = new Paths({
      native,
      ids: this.#ids,
      local: socket.address,
      remote,
      writer: this.#writer,
      clock,
      schedule: () => schedule(this),
    });
    this.#wantsSession = options.onSession !== undefined;
    this.#keepAlive = this.#keepAliveOf(options);
    const { originalId } = options;
    this.originalId = originalId && Buffer.from(originalId).toString("latin1");
    this.#flights = this.#flightsOf(options);
    this.#writer.flights = this.#flights;
    this.closed = new Promise((resolve) => {
      this.#settleClosed = resolve;
    });
    this.opened = new Promise((resolve, reject) => {
      this.#settleOpened = { resolve, reject };
    });
    this.opened.catch(() => undefined);
  }

  /** Whether any packet of the peer has decrypted yet, be it one that TLS refused. */
  get hasHeard(): boolean {
    return this.#native.stats().recv > 0 || (this.#native.localError()?.errorCode ?? 0) >= TLS_ALERT_BASE;
  }

  /** Packets so far; of the peer's those that could be read: they stand still when nobody is there any more. */
  get traffic(): { readonly sent: number; readonly received: number } {
    const { sent, recv: received } = this.#native.stats();
    return { sent, received };
  }

  get isOpen(): boolean {
    return this.#state.kind === "open";
  }

  /** The peer was let in once, be it by early data. */
  get wasAdmitted(): boolean {
    return this.#handshake !== undefined;
  }

  /** The handshake is complete: nothing that comes now is a replay. */
  get isEstablished(): boolean {
    return this.#isEstablished;
  }

  /** A client's streams travel as early data now: the server may take them for a replay, or not take them at all. */
  get isEarly(): boolean {
    return !this.#isEstablished && this.#options.isResuming === true && this.#native.isInEarlyData();
  }

  get remote(): SocketAddress {
    return this.paths.remote;
  }

  /** Handshake datagrams that were sent again. */
  get repeats(): number {
    return this.#flights.repeats;
  }

  /** @throws TypeError before the peer is admitted. */
  get handshake(): Handshake {
    if (this.#handshake === undefined) throw new TypeError("QuicConnection.handshake: not admitted yet");
    return this.#handshake;
  }

  /** The peer's certificates, DER, leaf first. @throws TypeError before the peer is admitted. */
  get peerCertificates(): readonly Uint8Array[] {
    return this.handshake.certificates;
  }

  /** Smoothed round-trip time of the active path, milliseconds; undefined before the first sample. */
  get rttMs(): number | undefined {
    const rttMs = this.paths.rate?.rttMs ?? 0;
    return rttMs === 0 ? undefined : rttMs;
  }

  /** Streams alive, for limits and tests. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** Bounds what may be on its way to the peer, bytes: asked again and again, so that connections may share. */
  limitFlight(bytesMax: () => number): void {
    this.#flightBytesMax = bytesMax;
  }

  /** Who takes the streams that the peer opens. Streams of a connection without a taker are reset. */
  onStream(take: OnStream): void {
    this.#streams.onStream(take);
  }

  /** A new stream of ours; what is written waits where the peer's stream credit is used up. */
  openStream(): QuicStream {
    if (this.#state.kind === "closed") return this.#streams.openDead(this.#state.error);
    this.#keepAlive?.touch();
    return this.#streams.open();
  }

  /** Servers: asks the client to open a fresh connection for what it does next. */
  signal(signal: Signal): void {
    if (this.#state.kind !== "open") return;
    this.#streams.signal(signal);
    this.#options.schedule(this);
  }

  /** Ends the connection with an application code; `reason` is read by the peer's user. Idempotent. */
  close(cause: CloseCause, reason = ""): void {
    if (this.#state.kind === "closed") return;
    // The library drops what it has not sent: the end of the handshake, without which the peer would wait for us.
    if (this.#state.kind === "open" && !this.#isGone) this.#writer.flush();
    this.#closeNative(cause, reason);
    this.#fail(new GatehouseError("quic.closed", "this side closed the connection"));
    this.#options.schedule(this);
  }

  /** Takes one datagram. Never throws. For the endpoint. */
  receive(datagram: Buffer, from: SocketAddress, local: SocketAddress): void {
    const { remote } = this.paths;
    const isKnownPath = from.port === remote.port && from.host === remote.host;
    this.#recvInfo = { from: isKnownPath ? remote : { host: from.host, port: from.port }, to: local };
    this.#wear.received(datagram.length);
    const isHandshake = isLong(datagram);
    if (isHandshake) this.#flights.received(datagram.length, this.#isRepeat(datagram));
    const wasOpen = this.#gate.isOpen;
    if (wasOpen && !isHandshake) this.#feed(datagram);
    else this.#gate.receive(datagram);
    if (!isHandshake && this.#isEstablished && !this.#flights.isOver) this.#flights.confirmed();
    this.#packetsSinceDrain += 1;
    if (!isHandshake && this.#isEstablished) this.#ids.arrived(datagram);
    // The library decrypts in place: what it has read must not lie about in the clear until the memory is used again.
    if (wasOpen && !isHandshake) datagram.fill(0);
    if (!isKnownPath || this.#packetsSinceDrain >= PACKETS_PER_DRAIN) this.#drainEvents();
  }

  /** After the turn's datagrams: notices the end, delivers streams, asks for the flush. For the endpoint. */
  afterReceive(): void {
    if (this.#gate.isOpen) this.#readStreams();
    if (!this.#isEstablished && this.#native.isEstablished()) this.#establish();
    if (this.#wantsSession && this.#isEstablished) this.#lookForSession();
    this.#options.schedule(this);
  }

  /** Writes everything that can be written. For the endpoint. */
  flush(): void {
    if (this.#isGone) return;
    const mayWrite = this.#gate.isOpen || this.isEarly;
    if (mayWrite && this.#state.kind !== "closed") this.#streams.flush();
    this.paths.flushLeft();
    const waitMs = this.#writer.flush();
    if (!this.#gate.isOpen) this.#gate.look();
    if (waitMs === NEXT_TURN_MS) setImmediate(() => this.#options.schedule(this));
    else if (waitMs !== Number.POSITIVE_INFINITY) this.#paceTimer.arm(waitMs);
    this.#noticeEnd();
    this.#armTimer();
  }

  /** Drops everything at once, without a word to the peer: the socket is gone. For the endpoint. */
  abandon(
    error: GatehouseError = new GatehouseError("quic.closed", "this side closed the connection"),
  ): void {
    this.#fail(error);
    this.#disappear();
  }

  #flightsOf({ role, clock, rttMs, isValidated = false }: ConnectionOptions): HandshakeFlights {
    const send = (datagram: Uint8Array, to: SocketAddress): void => this.#writer.sendCopy(datagram, to);
    return role === "client"
      ? new ClientFlights({ clock, send, rttMs })
      : new ServerFlights({ clock, send, isValidated });
  }

  /** A client with calls under way. */
  #keepAliveOf({ keepAliveMs, clock, schedule }: ConnectionOptions): KeepAlive | undefined {
    if (keepAliveMs === undefined) return undefined;
    const send = (): void => {
      try {
        this.#native.sendAckEliciting();
      } catch {
        // The library is closing: `flush` will notice.
      }
      schedule(this);
    };
    const isNeeded = (): boolean => this.#state.kind !== "closed" && this.streamCount > 0;
    return new KeepAlive({ clock, intervalMs: keepAliveMs, rttMs: () => this.rttMs, isNeeded, send });
  }

  #isRepeat(datagram: Buffer): boolean {
    if (this.#isEstablished) return true;
    return datagram.toString("latin1", 6, 6 + (datagram[5] ?? 0)) === this.originalId;
  }

  #feedPacket({ kind, bytes }: CoalescedPacket): void {
    if (kind === "zero-rtt") {
      // After the handshake nothing early is needed: what was lost comes again, protected from replay.
      if (this.#isEstablished) return;
      this.#hasFedEarly = true;
    } else if (this.#hasFedEarly) this.#readStreams();
    if (kind === "retry") this.#flights.retried();
    this.#feed(bytes);
    if (kind === "short") bytes.fill(0, 1 + CONNECTION_ID_BYTES);
  }

  #feed(bytes: Buffer): void {
    try {
      this.#native.recv(bytes, this.#recvInfo);
    } catch {
      // The library has recorded what went wrong; `flush` tells the peer and `#noticeEnd` tells us.
    }
  }

  #readStreams(): void {
    const isEarly = this.#hasFedEarly;
    this.#hasFedEarly = false;
    const before = this.#streams.deliveredBytes;
    this.#streams.read(isEarly);
    if (this.#streams.deliveredBytes > before) this.#keepAlive?.touch();
  }

  #tryAdmit(): boolean {
    const isEstablished = this.#native.isEstablished();
    const mayJudge = isEstablished || (this.#options.role === "server" && this.#native.isInEarlyData());
    if (!mayJudge || this.#state.kind !== "handshaking") return false;
    const handshake = this.#handshakeNow(!isEstablished);
    if (this.#hasRefusedEarly && !isEstablished) return false;
    const verdict = this.#options.admit(handshake);
    if (verdict.kind === "refused") {
      // Before the handshake is complete the peer could not read why: its early data is left lying until then.
      if (isEstablished) this.#refuse(verdict.cause, verdict.error);
      this.#hasRefusedEarly = true;
      return false;
    }
    this.#handshake = handshake;
    this.#state = { kind: "open" };
    verdict.accept?.(this);
    this.#settleOpened?.resolve(handshake);
    if (isEstablished) this.#establish();
    return true;
  }

  #handshakeNow(isEarlyData: boolean): Handshake {
    return {
      certificates: this.#native.peerCertChain() ?? [],
      alpn: Buffer.from(this.#native.applicationProto()).toString("latin1"),
      isResumed: this.#native.isResumed(),
      isEarlyData,
      remote: this.remote,
    };
  }

  /** Once. A peer that came in by early data is judged anew: only now is it certain that it is here. */
  #establish(): void {
    if (this.#isEstablished || this.#state.kind === "closed") return;
    if (this.#handshake?.isEarlyData === true) {
      const verdict = this.#options.admit(this.#handshakeNow(false));
      if (verdict.kind === "refused") {
        this.#refuse(verdict.cause, verdict.error);
        return;
      }
    }
    this.#isEstablished = true;
    this.#flights.established();
    this.#ids.refill();
    this.#options.established?.(this);
  }

  #lookForSession(): void {
    const session = this.#native.session();
    if (session === null) return;
    this.#wantsSession = false;
    this.#options.onSession?.(session);
  }

  #closeNative(cause: CloseCause, reason: string): void {
    try {
      this.#native.close(true, CLOSE_CODES[cause].number, Buffer.from(reason, "utf8"));
    } catch {
      // The library is closing already: what the peer sent behind its handshake broke the connection.
    }
  }

  #refuse(cause: CloseCause, error: GatehouseError): void {
    this.#closeNative(cause, error.message);
    this.#fail(error);
  }

  #drainEvents(): void {
    this.#packetsSinceDrain = 0;
    this.paths.drain();
    if (this.#state.kind !== "open") return;
    const { deliveredBytes } = this.#streams;
    const nowMs = this.#options.clock.monotonicMs();
    const wear = this.#wear.state({ nowMs, deliveredBytes, paths: this.paths.count });
    if (wear === "fresh") return;
    if (wear === "spent") this.close("limit", "this connection has been used for too long");
    else if (!this.#hasSignalled) this.#askForAnother();
  }

  #askForAnother(): void {
    this.#hasSignalled = true;
    if (this.#options.role === "server") this.signal("recycle");
    else this.#options.onSignal?.("recycle");
  }

  #noticeEnd(): void {
    const native = this.#native;
    if (!native.isDraining() && !native.isClosed()) return;
    this.#fail(endReason(native));
    if (native.isClosed()) this.#disappear();
  }

  #fail(error: GatehouseError): void {
    if (this.#state.kind === "closed") return;
    this.#state = { kind: "closed", error };
    this.#keepAlive?.[Symbol.dispose]();
    this.#flights[Symbol.dispose]();
    this.paths[Symbol.dispose]();
    this.#streams.lost(error);
    this.#settleOpened?.reject(error);
    this.#settleClosed(error);
  }

  #disappear(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#timer[Symbol.dispose]();
    this.#paceTimer[Symbol.dispose]();
    this.#options.gone(this);
  }

  #armTimer(): void {
    if (this.#isGone) return;
    const timeoutMs = this.#native.timeout();
    if (timeoutMs !== null) this.#timer.arm(timeoutMs);
    else if (this.#native.isClosed()) this.#disappear();
  }

  #timerFired(): void {
    if (this.#isGone) return;
    this.#options.handling?.(this);
    try {
      if ((this.#native.timeout() ?? 1) <= 0) {
        this.#native.onTimeout();
        this.paths.timerFired();
      }
      this.#drainEvents();
      this.#options.schedule(this);
    } catch (failure) {
      // A timer has nobody above it: what is thrown here would end the process.
      this.#options.logger.error("quic-timer-failed", {
        error: failure instanceof Error ? failure.message : "unknown",
      });
      this.abandon();
    }
    this.#options.handling?.(undefined);
  }
}
