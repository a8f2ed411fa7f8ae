import { type Clock, GatehouseError, type Logger } from "../core/index.ts";
import type { SocketAddress } from "./address.ts";
import { CLOSE_CODES, type CloseCause, errorFromHere, errorFromPeer } from "./close-codes.ts";
import { Gate, type PeerAdmission } from "./gate.ts";
import { LazyTimer } from "./lazy-timer.ts";
import type { NativeConnection } from "./native.ts";
import type { QuicStream } from "./stream.ts";
import { type OnStream, StreamTable } from "./stream-table.ts";
import type { UdpSocket } from "./udp-socket.ts";

/** Packets sent in one flush before other connections get their turn. */
const PACKETS_PER_FLUSH = 256;
/** Path events are drained at least this often: the library's queue of them has no bound. */
const PACKETS_PER_EVENT_DRAIN = 64;
/** Transport codes from here on are TLS alerts (RFC 9001 §4.8): the packet decrypted, what it said was refused. */
const TLS_ALERT_BASE = 0x100;

export interface ConnectionOptions {
  readonly native: NativeConnection;
  readonly role: "client" | "server";
  readonly socket: UdpSocket;
  readonly remote: SocketAddress;
  /** Judges the peer once TLS is done; no frame of a peer it has not let in is processed. */
  readonly admit: PeerAdmission;
  /** Between signs of life while calls are under way; undefined: the other side sees to that. */
  readonly keepAliveMs?: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly scratch: Buffer;
  readonly schedule: (connection: QuicConnection) => void;
  /** The library holds nothing of this connection any more. */
  readonly gone: (connection: QuicConnection) => void;
}

/** What is known of the peer once TLS is done. */
export interface Handshake {
  /** DER, leaf first; verified against the CA only in the strict context. Possession of the leaf's key is proven. */
  readonly certificates: readonly Uint8Array[];
  readonly alpn: string;
  readonly isResumed: boolean;
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
  readonly #options: ConnectionOptions;
  readonly #native: NativeConnection;
  readonly #local: SocketAddress;
  readonly #gate: Gate;
  readonly #streams: StreamTable;
  #state: State = { kind: "handshaking" };
  #remote: SocketAddress;
  /** Source of the datagram being read. */
  #arrivedFrom: SocketAddress;
  #handshake: Handshake | undefined;
  #packetsSinceDrain = 0;
  readonly #timer: LazyTimer;
  #keepAlive: Disposable | undefined;
  #isGone = false;
  #settleClosed: (error: GatehouseError) => void = () => undefined;
  #settleOpened: { resolve(handshake: Handshake): void; reject(error: GatehouseError): void } | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#native = options.native;
    this.#timer = new LazyTimer(options.clock, () => this.#timerFired());
    this.#local = options.socket.address;
    this.#remote = options.remote;
    this.#arrivedFrom = options.remote;
    this.#gate = new Gate(
      (bytes) => this.#feed(bytes),
      () => this.#tryAdmit(),
    );
    const { native, role, logger, scratch } = options;
    this.#streams = new StreamTable({
      ...{ native, role, logger, scratch },
      schedule: () => options.schedule(this),
      refuse: (reason) => this.close("limit", reason),
    });
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

  get remote(): SocketAddress {
    return this.#remote;
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
    const path = this.#native.pathStats().find(({ active }) => active);
    return path === undefined || path.rtt === 0 ? undefined : path.rtt;
  }

  /** Streams alive, for limits and tests. */
  get streamCount(): number {
    return this.#streams.size;
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

  /** Ends the connection with an application code; `reason` is read by the peer's user. Idempotent. */
  close(cause: CloseCause, reason = ""): void {
    if (this.#state.kind === "closed") return;
    this.#closeNative(cause, reason);
    this.#fail(new GatehouseError("quic.closed", "this side closed the connection"));
    this.#options.schedule(this);
  }

  /** Takes one datagram. Never throws. For the endpoint. */
  receive(datagram: Buffer, from: SocketAddress): void {
    const isKnownPath = from.port === this.#remote.port && from.host === this.#remote.host;
    this.#arrivedFrom = isKnownPath ? this.#remote : { host: from.host, port: from.port };
    if (this.#gate.isOpen) this.#feed(datagram);
    else this.#gate.receive(datagram);
    this.#packetsSinceDrain += 1;
    if (!isKnownPath || this.#packetsSinceDrain >= PACKETS_PER_EVENT_DRAIN) this.#drainEvents();
  }

  /** After the turn's datagrams: notices the end, delivers streams, asks for the flush. For the endpoint. */
  afterReceive(): void {
    if (this.#gate.isOpen) this.#streams.read();
    this.#options.schedule(this);
  }

  /** Writes everything that can be written. For the endpoint. */
  flush(): void {
    if (this.#isGone) return;
    if (this.#gate.isOpen && this.#state.kind === "open") this.#streams.flush();
    this.#sendPackets();
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

  #feed(bytes: Buffer): void {
    try {
      this.#native.recv(bytes, { from: this.#arrivedFrom, to: this.#local });
    } catch {
      // The library has recorded what went wrong; `flush` tells the peer and `#noticeEnd` tells us.
    }
  }

  #tryAdmit(): boolean {
    if (!this.#native.isEstablished() || this.#state.kind !== "handshaking") return false;
    const handshake: Handshake = {
      certificates: this.#native.peerCertChain() ?? [],
      alpn: Buffer.from(this.#native.applicationProto()).toString("latin1"),
      isResumed: this.#native.isResumed(),
      remote: this.#remote,
    };
    const verdict = this.#options.admit(handshake);
    if (verdict.kind === "refused") {
      this.#refuse(verdict.cause, verdict.error);
      return false;
    }
    this.#handshake = handshake;
    this.#state = { kind: "open" };
    verdict.accept?.(this);
    this.#settleOpened?.resolve(handshake);
    return true;
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

  #sendPackets(): void {
    const { socket } = this.#options;
    for (let sent = 0; sent < PACKETS_PER_FLUSH; sent += 1) {
      if (socket.isCongested) break;
      const buffer = socket.acquire();
      const packet = this.#nextPacket(buffer);
      if (packet === null) {
        socket.release(buffer);
        return;
      }
      socket.send(buffer, packet[0], packet[1].to);
    }
    setImmediate(() => this.#options.schedule(this));
  }

  #nextPacket(buffer: Buffer): ReturnType<NativeConnection["send"]> {
    try {
      return this.#native.send(buffer);
    } catch {
      return null;
    }
  }

  #drainEvents(): void {
    this.#packetsSinceDrain = 0;
    // The declared type leaves out the `null` that ends the queue.
    for (
      let event: unknown = this.#native.pathEventNext();
      isPathEvent(event);
      event = this.#native.pathEventNext()
    ) {
      if (event.type === "PeerMigrated") this.#remote = this.#activeRemote();
    }
    while (this.#native.retiredScidNext() !== null);
  }

  #activeRemote(): SocketAddress {
    return this.#native.pathStats().find(({ active }) => active)?.peerHost ?? this.#remote;
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
    this.#streams.lost(error);
    this.#settleOpened?.reject(error);
    this.#settleClosed(error);
  }

  #disappear(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#timer[Symbol.dispose]();
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

function isPathEvent(value: unknown): value is { readonly type: string } {
  return typeof value === "object" && value !== null && "type" in value;
}
