import { type Clock, GatehouseError, LIMITS, type Logger, type Random } from "../core/index.ts";
import { type SocketAddress, sourceOf } from "./address.ts";
import { type Handshake, QuicConnection } from "./connection.ts";
import type { Admission } from "./gate.ts";
import { loadQuiche, type NativeConfig, type Quiche } from "./native.ts";
import {
  INITIAL_DATAGRAM_BYTES_MIN,
  isLong,
  type LongHeader,
  parseLongHeader,
  versionNegotiation,
} from "./packet.ts";
import { type TlsIdentity, transportConfig } from "./tls.ts";
import { type Arrival, Turn } from "./turn.ts";
import { UdpSocket } from "./udp-socket.ts";

const CONNECTION_ID_BYTES = 16;
/** RFC 9000 §7.2: a client's first destination connection id has at least 8 bytes. */
const FIRST_CONNECTION_ID_BYTES_MIN = 8;
const SCRATCH_BYTES = 65_536;

/** Which TLS context a connection came through: `pairing` lets any key pass TLS, so admission is all there is. */
export type TlsContext = "strict" | "pairing";

export interface ServerHandshake extends Handshake {
  readonly context: TlsContext;
}

export interface QuicServerOptions {
  readonly listen: SocketAddress;
  readonly identity: TlsIdentity;
  /** The authorities that client certificates are verified against in the strict context, PEM. */
  readonly caPem: string;
  readonly alpn: string;
  /** Judges every connection of either context. Synchronous; must not throw. */
  readonly admit: (handshake: ServerHandshake) => Admission;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits?: Partial<QuicServerLimits>;
}

export interface QuicServerLimits {
  readonly connections: number;
  readonly handshakes: number;
  readonly handshakesPerSource: number;
  readonly handshakeMs: number;
}

/** What was dropped and why, since the start. */
export interface QuicServerCounters {
  accepted: number;
  admitted: number;
  refused: number;
  /** Not QUIC, cut short, or an Initial in a datagram that is too small. */
  malformed: number;
  /** No connection by that id. */
  unroutable: number;
  otherVersion: number;
  overLimit: number;
  handshakeTimeouts: number;
}

interface Entry {
  readonly connection: QuicConnection;
  readonly ids: readonly string[];
  readonly source: string;
  readonly deadline: Disposable;
  isHalfOpen: boolean;
}

/** The front door: one UDP socket, many connections, one pump. */
export class QuicServer implements AsyncDisposable {
  readonly counters: QuicServerCounters = {
    accepted: 0,
    admitted: 0,
    refused: 0,
    malformed: 0,
    unroutable: 0,
    otherVersion: 0,
    overLimit: 0,
    handshakeTimeouts: 0,
  };
  readonly #options: QuicServerOptions;
  readonly #limits: QuicServerLimits;
  readonly #quiche: Quiche;
  readonly #socket: UdpSocket;
  readonly #strict: NativeConfig;
  readonly #turn: Turn;
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  readonly #routes = new Map<string, Entry>();
  readonly #entries = new Map<QuicConnection, Entry>();
  readonly #halfOpen = new Map<string, number>();
  #halfOpenTotal = 0;
  #pairing: NativeConfig | undefined;
  #isClosing = false;

  private constructor(options: QuicServerOptions, quiche: Quiche, socket: UdpSocket) {
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#quiche = quiche;
    this.#socket = socket;
    this.#strict = transportConfig(quiche, {
      role: "server",
      identity: options.identity,
      verification: { kind: "strict", caPem: options.caPem },
      alpn: [options.alpn],
    });
    this.#turn = new Turn((arrivals) => this.#read(arrivals), options.logger);
    socket.listen(
      (datagram, from) => this.#turn.arrived(datagram, from),
      (error) => options.logger.warn("udp-error", { code: error.code }),
    );
  }

  /** @throws quic.address-in-use, quic.bad-address, quic.unsupported-platform */
  static async listen(options: QuicServerOptions): Promise<QuicServer> {
    const quiche = await loadQuiche();
    return new QuicServer(options, quiche, await UdpSocket.bind(options.listen, options.logger));
  }

  get address(): SocketAddress {
    return this.#socket.address;
  }

  /** Connections alive, unfinished handshakes included. */
  get connectionCount(): number {
    return this.#entries.size;
  }

  /**
   * Until disposed, new connections get a TLS context of their own that lets any key through, on both protocols;
   * `admit` decides. It shares no ticket keys with the strict one, and no resumed connection gets past it.
   * @throws TypeError when a window is open already.
   */
  openPairing(alpn: string): Disposable {
    if (this.#pairing !== undefined) throw new TypeError("QuicServer.openPairing: a window is open already");
    const config = transportConfig(this.#quiche, {
      role: "server",
      identity: this.#options.identity,
      verification: { kind: "danger-any-key" },
      alpn: [this.#options.alpn, alpn],
    });
    this.#pairing = config;
    return {
      [Symbol.dispose]: () => {
        if (this.#pairing === config) this.#pairing = undefined;
      },
    };
  }

  /** Tells every peer, then closes the socket. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    for (const connection of this.#entries.keys())
      connection.close("going-away", "the gatehouse is shutting down");
    await new Promise((resolve) => setImmediate(resolve));
    await this.#socket[Symbol.asyncDispose]();
    for (const connection of [...this.#entries.keys()]) connection.abandon();
  }

  #read(arrivals: readonly Arrival[]): void {
    const touched = new Set<QuicConnection>();
    for (const { datagram, from } of arrivals) {
      this.#guarded(() => {
        const entry = this.#route(datagram, from);
        if (entry === undefined) return;
        entry.connection.receive(datagram, from);
        if (entry.isHalfOpen && !entry.connection.hasHeard) this.#dropUnheard(entry);
        else touched.add(entry.connection);
      });
    }
    for (const connection of touched) this.#guarded(() => connection.afterReceive());
  }

  /** What one datagram breaks must not cost the others that came in the same turn. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (failure) {
      this.#options.logger.error("quic-datagram-failed", {
        error: failure instanceof Error ? failure.message : "unknown",
      });
    }
  }

  #route(datagram: Buffer, from: SocketAddress): Entry | undefined {
    if (!isLong(datagram)) {
      const entry = this.#routes.get(datagram.toString("latin1", 1, 1 + CONNECTION_ID_BYTES));
      if (entry === undefined) this.counters.unroutable += 1;
      return entry;
    }
    const header = parseLongHeader(datagram);
    if (header === undefined) {
      this.counters.malformed += 1;
      return undefined;
    }
    return this.#routes.get(header.dcid.toString("latin1")) ?? this.#stranger(header, datagram, from);
  }

  /** An Initial that does not decrypt costs its sender a place in no table. */
  #dropUnheard({ connection }: Entry): void {
    this.counters.malformed += 1;
    connection.abandon();
  }

  #stranger(header: LongHeader, datagram: Buffer, from: SocketAddress): Entry | undefined {
    if (header.kind === "other-version") {
      this.counters.otherVersion += 1;
      if (datagram.length >= INITIAL_DATAGRAM_BYTES_MIN && header.version !== 0)
        this.#negotiate(header, from);
      return undefined;
    }
    if (header.kind !== "initial") {
      this.counters.unroutable += 1;
      return undefined;
    }
    if (datagram.length < INITIAL_DATAGRAM_BYTES_MIN || header.dcid.length < FIRST_CONNECTION_ID_BYTES_MIN) {
      this.counters.malformed += 1;
      return undefined;
    }
    return this.#accept(header, from);
  }

  #negotiate(header: LongHeader, from: SocketAddress): void {
    const packet = versionNegotiation(header, this.#options.random.bytes(1)[0] ?? 0);
    const buffer = this.#socket.acquire();
    buffer.set(packet);
    this.#socket.send(buffer, packet.length, from);
  }

  #accept(header: LongHeader, from: SocketAddress): Entry | undefined {
    const source = sourceOf(from.host);
    if (!this.#hasRoom(source)) {
      this.counters.overLimit += 1;
      return undefined;
    }
    const context: TlsContext = this.#pairing === undefined ? "strict" : "pairing";
    const scid = Buffer.from(this.#options.random.bytes(CONNECTION_ID_BYTES));
    const remote = { host: from.host, port: from.port };
    const connection: QuicConnection = new QuicConnection({
      native: this.#quiche.Connection.accept(scid, null, this.address, remote, this.#pairing ?? this.#strict),
      role: "server",
      socket: this.#socket,
      remote,
      admit: (handshake) => this.#admit({ ...handshake, context }, connection),
      clock: this.#options.clock,
      logger: this.#options.logger,
      scratch: this.#scratch,
      schedule: (ready) => this.#turn.schedule(ready),
      gone: (ended) => this.#remove(ended),
    });
    return this.#add(connection, [scid.toString("latin1"), header.dcid.toString("latin1")], source);
  }

  #hasRoom(source: string): boolean {
    return (
      !this.#isClosing &&
      this.#entries.size < this.#limits.connections &&
      this.#halfOpenTotal < this.#limits.handshakes &&
      (this.#halfOpen.get(source) ?? 0) < this.#limits.handshakesPerSource
    );
  }

  #add(connection: QuicConnection, ids: readonly string[], source: string): Entry {
    const deadline = this.#options.clock.setTimer(this.#limits.handshakeMs, () =>
      this.#handshakeExpired(connection),
    );
    const entry: Entry = { connection, ids, source, deadline, isHalfOpen: true };
    for (const id of ids) this.#routes.set(id, entry);
    this.#entries.set(connection, entry);
    this.#halfOpen.set(source, (this.#halfOpen.get(source) ?? 0) + 1);
    this.#halfOpenTotal += 1;
    this.counters.accepted += 1;
    return entry;
  }

  #admit(handshake: ServerHandshake, connection: QuicConnection): Admission {
    const verdict = this.#judge(handshake);
    if (verdict.kind === "admitted") this.counters.admitted += 1;
    else this.counters.refused += 1;
    const entry = this.#entries.get(connection);
    if (entry !== undefined) this.#settled(entry);
    return verdict;
  }

  /** A ticket of the pairing context proves nothing: nobody checked the chain it was issued on. */
  #judge(handshake: ServerHandshake): Admission {
    if (handshake.context === "pairing" && handshake.isResumed) {
      const error = new GatehouseError("quic.not-admitted", "sessions of a pairing window are not resumed");
      return { kind: "refused", cause: "not-admitted", error };
    }
    try {
      return this.#options.admit(handshake);
    } catch (failure) {
      this.#options.logger.error("admission-failed", {
        error: failure instanceof Error ? failure.message : "unknown",
      });
      const error = new GatehouseError("quic.not-admitted", "the gatehouse could not check this device");
      return { kind: "refused", cause: "not-admitted", error };
    }
  }

  #settled(entry: Entry): void {
    if (!entry.isHalfOpen) return;
    entry.isHalfOpen = false;
    entry.deadline[Symbol.dispose]();
    this.#halfOpenTotal -= 1;
    const left = (this.#halfOpen.get(entry.source) ?? 1) - 1;
    if (left > 0) this.#halfOpen.set(entry.source, left);
    else this.#halfOpen.delete(entry.source);
  }

  #handshakeExpired(connection: QuicConnection): void {
    this.counters.handshakeTimeouts += 1;
    connection.close("limit", "the handshake took too long");
  }

  #remove(connection: QuicConnection): void {
    const entry = this.#entries.get(connection);
    if (entry === undefined) return;
    this.#settled(entry);
    this.#entries.delete(connection);
    for (const id of entry.ids) this.#routes.delete(id);
  }
}
