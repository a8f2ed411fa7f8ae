import { type Clock, GatehouseError, LIMITS, type Logger, type Random } from "../core/index.ts";
import type { SocketAddress } from "./address.ts";
import { CLOSE_CODES, type CloseCause, errorFromHere, errorFromPeer } from "./close-codes.ts";
import { ConnectionIds, type Routes } from "./connection-ids.ts";
import { Gate, type PeerAdmission } from "./gate.ts";
import { ClientFlights, ServerFlights } from "./handshake-flights.ts";
import { LazyTimer } from "./lazy-timer.ts";
import type { NativeConnection } from "./native.ts";
import type { DatagramSocket } from "./network.ts";
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

export interface ConnectionOptions {
  readonly native: NativeConnection;
  readonly role: "client" | "server";
  readonly socket: DatagramSocket;
  readonly remote: SocketAddress;
  /** Servers: the client's first destination connection id; what comes by it again is a repeat. */
  readonly originalId?: Uint8Array;
  /** Servers: the client has shown a token. */
  readonly isValidated?: boolean;
  /** Clients: a ticket is in the library's hands; and what is remembered of the path. */
  readonly isResuming?: boolean;
  readonly rttMs?: number | undefined;
  /** Judges the peer once TLS shows its certificates; no frame of a peer it has not let in is processed. */
  readonly admit: PeerAdmission;
  /** The handshake is complete. */
  readonly established?: (connection: QuicConnection) => void;
  /** Clients: the server, or this side's own wear, asks for a fresh connection. */
  readonly onSignal?: (signal: Signal) => void;
  /** Clients: a ticket has come (RFC 8446 §4.6.1). */
  readonly onSession?: (session: Uint8Array) => void;
  /** Between signs of life while calls are under way; undefined: the other side sees to that. */
  readonly keepAliveMs?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly scratch: Buffer;
  readonly routes: Routes;
  readonly schedule: (connection: QuicConnection) => void;
  /** Told before a timer of this connection enters the library, and with undefined after it. */
  readonly handling?: ((connection: QuicConnection | undefined) => void) | undefined;
  /** The library holds nothing of this connection any more. */
  readonly gone: (connection: QuicConnection) => void;
}

/** What is known of the peer once TLS has shown its certificates. */
export interface Handshake {
  /** DER, leaf first; verified against the CA only in the strict context. Possession of the leaf's key is proven. */
  readonly certificates: readonly Uint8Array[];
  readonly alpn: string;
  readonly isResumed: boolean;
  /** Servers: the handshake is not complete yet, so that all this may be a replay. */
  readonly isEarlyData: boolean;
  readonly remote: SocketAddress;
}

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
  /** The device behind it, for attribution; set by whoever admits. */
  tag: Uint8Array | undefined;
  /** Servers: the client's first destination connection id, latin1. */
  readonly originalId: string | undefined;
  readonly #options: ConnectionOptions;
  readonly #native: NativeConnection;
  readonly #gate: Gate;
  readonly #streams: StreamTable;
  readonly #writer: PacketWriter;
  readonly #ids: ConnectionIds;
  readonly #paths: Paths;
  readonly #wear: Wear;
  readonly #timer: LazyTimer;
  readonly #paceTimer: LazyTimer;
  #clientFlights: ClientFlights | undefined;
  #serverFlights: ServerFlights | undefined;
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
  #keepAlive: Disposable | undefined;
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
      ...{ native, role, logger, scratch },
      schedule: () => options.schedule(this),
      refuse: (reason) => this.close("limit", reason),
      onSignal: (signal) => options.onSignal?.(signal),
    });
    this.#ids = new ConnectionIds(native, random, routes);
    this.#paths = new Paths(native, this.#ids, remote);
    this.#wear = new Wear(clock.monotonicMs());
    const pacer = new Pacer(
      clock,
      () => this.#paths.rate,
      () => this.#flightBytesMax(),
    );
    this.#writer = new PacketWriter({ native, socket, pacer, sent: () => this.#wear.sent() });
    this.#wantsSession = options.onSession !== undefined;
    const { originalId } = options;
    this.originalId = originalId && Buffer.from(originalId).toString("latin1");
    this.#startFlights();
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

  get isOpen(): boolean {
    return this.#state.kind === "open";
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
    return this.#paths.remote;
  }

  /** Where the packets of the path in use leave from. */
  get local(): SocketAddress {
    return this.#native.pathStats().find(({ active }) => active)?.localHost ?? this.#recvInfo.to;
  }

  /** Of the peer, since the start: for tests and measurements. */
  get pathMoves(): number {
    return this.#paths.moves;
  }

  /** Handshake datagrams that were sent again. */
  get repeats(): number {
    return (this.#clientFlights ?? this.#serverFlights)?.repeats ?? 0;
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
    const rttMs = this.#paths.rate?.rttMs ?? 0;
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
    this.#armKeepAlive();
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
    this.#closeNative(cause, reason);
    this.#fail(new GatehouseError("quic.closed", "this side closed the connection"));
    this.#options.schedule(this);
  }

  /**
   * Clients: moves to the path from `socket` (RFC 9000 §9.2), which is the connection's from then on. `validated` tries the
   * path first and leaves the old one only when it works; `at-once` is for when the old one is dead. False: the library has
   * no connection id or no place for one more path, and `socket` stays the caller's.
   */
  startMove(socket: DatagramSocket, mode: "validated" | "at-once", moved: () => void): boolean {
    if (this.#state.kind !== "open" || !this.#isEstablished) return false;
    const { address } = socket;
    try {
      if (mode === "at-once") this.#native.migrate(address, this.remote);
      else this.#native.probePath(address, this.remote);
    } catch {
      return false;
    }
    this.#writer.addSocket(socket);
    this.#paths.added();
    if (mode === "at-once") moved();
    else {
      const watch = this.#paths.onValidated(address, () => {
        watch[Symbol.dispose]();
        this.#switchTo(address, moved);
      });
    }
    this.#options.schedule(this);
    return true;
  }

  /** Challenges a path that is being tried once more: the library waits long for a lost challenge. */
  probeAgain(socket: DatagramSocket): void {
    try {
      this.#native.probePath(socket.address, this.remote);
    } catch {
      // The path is validated, or given up.
    }
    this.#options.schedule(this);
  }

  /** A path that was left, or did not work: its socket is the caller's again. */
  dropPath(socket: DatagramSocket): void {
    this.#writer.removeSocket(socket);
  }

  /** The sockets of all its paths. */
  get sockets(): readonly DatagramSocket[] {
    return this.#writer.sockets;
  }

  /** Takes one datagram. Never throws. For the endpoint. */
  receive(datagram: Buffer, from: SocketAddress, local: SocketAddress): void {
    const { remote } = this.#paths;
    const isKnownPath = from.port === remote.port && from.host === remote.host;
    this.#recvInfo = { from: isKnownPath ? remote : { host: from.host, port: from.port }, to: local };
    this.#wear.received(datagram.length);
    const isHandshake = isLong(datagram);
    if (isHandshake) this.#serverFlights?.received(datagram.length, this.#isRepeat(datagram));
    if (this.#gate.isOpen && !isHandshake) this.#feed(datagram);
    else this.#gate.receive(datagram);
    if (!isHandshake && this.#isEstablished) this.#clientFlights?.confirmed();
    this.#packetsSinceDrain += 1;
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

  /** Clients: the server wants a token, so nothing of the first flight is of use any more. For the endpoint. */
  retried(): void {
    this.#clientFlights?.retried();
  }

  #startFlights(): void {
    const { role, clock, rttMs, isValidated = false } = this.#options;
    const send = (datagram: Uint8Array, to: SocketAddress): void => this.#writer.sendCopy(datagram, to);
    if (role === "client") this.#clientFlights = new ClientFlights({ clock, send, rttMs });
    else this.#serverFlights = new ServerFlights({ clock, send, isValidated });
    this.#writer.flights = this.#clientFlights ?? this.#serverFlights;
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
    if (kind === "retry") this.retried();
    this.#feed(bytes);
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
    this.#streams.read(isEarly);
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
    this.#clientFlights?.established();
    this.#serverFlights?.established();
    this.#ids.refill();
    this.#options.established?.(this);
  }

  #lookForSession(): void {
    const session = this.#native.session();
    if (session === null) return;
    this.#wantsSession = false;
    this.#options.onSession?.(session);
  }

  #switchTo(local: SocketAddress, moved: () => void): void {
    if (this.#state.kind !== "open") return;
    try {
      this.#native.migrate(local, this.remote);
      moved();
      this.#options.schedule(this);
    } catch {
      // The connection is closing: whoever waits hears of that.
    }
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
    this.#paths.drain();
    if (this.#state.kind !== "open") return;
    const { deliveredBytes } = this.#streams;
    const nowMs = this.#options.clock.monotonicMs();
    const wear = this.#wear.state({ nowMs, deliveredBytes, paths: this.#paths.count });
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
    this.#fail(this.#endReason());
    if (native.isClosed()) this.#disappear();
  }

  #endReason(): GatehouseError {
    const fromPeer = this.#native.peerError();
    if (fromPeer !== null) return errorFromPeer(fromPeer);
    const fromHere = this.#native.localError();
    if (fromHere !== null) return errorFromHere(fromHere);
    return new GatehouseError("quic.timed-out", "the connection timed out", {
      hint: "check that the other side runs and that UDP gets through",
    });
  }

  #fail(error: GatehouseError): void {
    if (this.#state.kind === "closed") return;
    this.#state = { kind: "closed", error };
    this.#keepAlive?.[Symbol.dispose]();
    this.#writer.flights?.[Symbol.dispose]();
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
      if ((this.#native.timeout() ?? 1) <= 0) this.#native.onTimeout();
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

  /** A client with calls under way keeps the path open through NATs and idle timers. */
  #armKeepAlive(): void {
    const { keepAliveMs, clock } = this.#options;
    if (this.#keepAlive !== undefined || keepAliveMs === undefined) return;
    this.#keepAlive = clock.setTimer(keepAliveMs, () => {
      this.#keepAlive = undefined;
      if (this.#state.kind === "closed" || this.streamCount === 0) return;
      try {
        this.#native.sendAckEliciting();
      } catch {
        // The library is closing: `flush` will notice.
      }
      this.#options.schedule(this);
      this.#armKeepAlive();
    });
  }
}
