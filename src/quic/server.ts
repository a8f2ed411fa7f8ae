import { type Clock, GatehouseError, LIMITS, type Logger, type Random } from "../core/index.ts";
import type { SocketAddress } from "./address.ts";
import { AddressValidation, type Newcomer } from "./address-validation.ts";
import { QuicConnection } from "./connection.ts";
import { CONNECTION_ID_BYTES, type Routes } from "./connection-ids.ts";
import type { Handshake } from "./connection-options.ts";
import { EndedIds } from "./ended-ids.ts";
import type { Admission } from "./gate.ts";
import { Listeners } from "./listeners.ts";
import { loadQuiche, type NativeConfig, type Quiche } from "./native.ts";
import type { DatagramSocket, Network } from "./network.ts";
import {
  INITIAL_DATAGRAM_BYTES_MIN,
  isLong,
  type LongHeader,
  parseLongHeader,
  QUIC_V1,
  versionNegotiation,
} from "./packet.ts";
import type { SourceLimits } from "./source-ledger.ts";
import { type TlsIdentity, transportConfig } from "./tls.ts";
import { type Arrival, Turn } from "./turn.ts";
import { udpNetwork } from "./udp-socket.ts";

/** RFC 9000 §7.2: a client's first destination connection id has at least 8 bytes. */
const FIRST_CONNECTION_ID_BYTES_MIN = 8;
const SCRATCH_BYTES = 65_536;
/** Which TLS context a connection came through: all but `strict` let any key pass TLS, so admission is all there is. */
export type TlsContext = "strict" | "pairing" | "renewal";

export interface ServerHandshake extends Handshake {
  readonly context: TlsContext;
}

export interface QuicServerOptions extends ServerTls {
  /** One socket each; a wildcard is bound to every address of its family. */
  readonly listen: readonly SocketAddress[];
  readonly alpn: string;
  /**
   * Judges every connection of either context; one that comes by early data twice, the second time when its handshake is
   * complete. Synchronous; must not throw.
   */
  readonly admit: (handshake: ServerHandshake) => Admission;
  /**
   * Whether devices are expected whose certificates have run out. Where they are, a source whose handshake TLS has just
   * ended gets a context that lets any key through the next time, for `admit` to decide: all others stay strict.
   */
  readonly isReadmitting?: () => boolean;
  /**
   * Told whose packets, timers or writes are handled next, and undefined when nobody's are any more: whoever freezes the
   * loop is known by it. Called very often.
   */
  readonly onHandling?: (connection: QuicConnection | undefined) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly limits?: Partial<QuicServerLimits>;
  /** Default: the machine's own. */
  readonly network?: Network;
}

/** What a server shows, and whom it trusts. */
export interface ServerTls {
  readonly identity: TlsIdentity;
  /** The authorities that client certificates are verified against in the strict context, PEM. */
  readonly caPem: string;
}

export interface QuicServerLimits extends SourceLimits {
  readonly connections: number;
  readonly handshakeMs: number;
}

/** What came and what became of it, since the start. */
export interface QuicServerCounters {
  accepted: number;
  admitted: number;
  refused: number;
  /** Handshakes that TLS ended: a stranger's certificate, none, or another protocol. */
  failedHandshakes: number;
  handshakeTimeouts: number;
  /** Connections that came by early data; each may be a replay. */
  earlyData: number;
  /** Newcomers told to prove their address first. */
  retries: number;
  /** Not QUIC, cut short, or an Initial in a datagram that is too small. */
  malformed: number;
  /** No connection by that id. */
  unroutable: number;
  /** Early data without the handshake it belongs to. */
  strayEarlyData: number;
  otherVersion: number;
  overLimit: number;
  /** Handshake datagrams sent again. */
  repeats: number;
  /** Times that a peer was seen at a new address. */
  pathMoves: number;
}

interface Entry {
  readonly connection: QuicConnection;
  readonly ids: Set<string>;
  readonly source: string;
  readonly isValidated: boolean;
  readonly deadline: Disposable;
  isHalfOpen: boolean;
}

/** The front door: some UDP sockets, many connections, one pump. */
export class QuicServer implements AsyncDisposable {
  readonly #counters: QuicServerCounters = {
    ...{ accepted: 0, admitted: 0, refused: 0, failedHandshakes: 0, handshakeTimeouts: 0, earlyData: 0 },
    ...{ retries: 0, malformed: 0, unroutable: 0, strayEarlyData: 0, otherVersion: 0, overLimit: 0 },
    ...{ repeats: 0, pathMoves: 0 },
  };
  readonly #options: QuicServerOptions;
  readonly #limits: QuicServerLimits;
  readonly #quiche: Quiche;
  #tls: ServerTls;
  #strict: NativeConfig;
  readonly #turn: Turn<QuicConnection>;
  readonly #validation: AddressValidation;
  readonly #scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  readonly #routes = new Map<string, Entry>();
  readonly #entries = new Map<QuicConnection, Entry>();
  readonly #endedIds: EndedIds;
  #listeners: Listeners | undefined;
  #pairing: (() => NativeConfig) | undefined;
  #isClosing = false;

  private constructor(options: QuicServerOptions, quiche: Quiche) {
    const { clock, random, logger, identity, caPem } = options;
    this.#options = options;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#quiche = quiche;
    this.#tls = { identity, caPem };
    this.#strict = this.#strictConfig();
    this.#endedIds = new EndedIds(clock);
    this.#validation = new AddressValidation(this.#limits, clock, random);
    this.#turn = new Turn({
      read: (arrivals) => this.#read(arrivals),
      handling: options.onHandling,
      logger,
    });
  }

  /** @throws quic.address-in-use, quic.bad-address, quic.unsupported-platform */
  static async listen(options: QuicServerOptions): Promise<QuicServer> {
    const server = new QuicServer(options, await loadQuiche());
    const { listen, clock, logger, network = udpNetwork } = options;
    server.#listeners = await Listeners.open({
      ...{ listen, network, clock, logger },
      arrived: (datagram, from, socket) => server.#turn.arrived(datagram, from, socket),
      lost: (socket) => server.#socketLost(socket),
    });
    return server;
  }

  /** Every address that it listens on, concrete. */
  get addresses(): readonly SocketAddress[] {
    return this.#listeners?.sockets.map(({ address }) => address) ?? [];
  }

  /** The first of them. */
  get address(): SocketAddress {
    const [first] = this.addresses;
    if (first === undefined) throw new TypeError("QuicServer.address: not listening");
    return first;
  }

  get counters(): Readonly<QuicServerCounters> {
    return this.#counters;
  }

  /** Connections alive, unfinished handshakes included. */
  get connectionCount(): number {
    return this.#entries.size;
  }

  get halfOpenCount(): number {
    return this.#validation.ledger.halfOpen;
  }

  /**
   * Until disposed, new connections get a TLS context of their own that lets any key through, on both protocols;
   * `admit` decides. It shares no ticket keys with the strict one, and no resumed connection gets past it.
   * @throws TypeError when a window is open already.
   */
  openPairing(alpn: string): Disposable {
    if (this.#pairing !== undefined) throw new TypeError("QuicServer.openPairing: a window is open already");
    // One for each connection: tickets of this context prove nothing, and with its keys gone nobody can show one.
    const config = () => this.#lenientConfig(this.#options.alpn, alpn);
    this.#pairing = config;
    return {
      [Symbol.dispose]: () => {
        if (this.#pairing === config) this.#pairing = undefined;
      },
    };
  }

  /**
   * Shows another certificate, and trusts other authorities, from the next connection on; those that are open stay. Tickets
   * given until now are worth a full handshake.
   */
  replaceTls(tls: ServerTls): void {
    this.#tls = tls;
    this.#strict = this.#strictConfig();
  }

  /** Tells every client that the end is near: what it does next it should do elsewhere, or later. */
  announceShutdown(): void {
    for (const connection of this.#entries.keys()) connection.signal("going-away");
  }

  /** Tells every peer, then closes the sockets. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    for (const connection of this.#entries.keys())
      connection.close("going-away", "the gatehouse is shutting down");
    await new Promise((resolve) => setImmediate(resolve));
    await this.#listeners?.[Symbol.asyncDispose]();
    for (const connection of [...this.#entries.keys()]) connection.abandon();
  }

  #strictConfig(): NativeConfig {
    const { identity, caPem } = this.#tls;
    return transportConfig(this.#quiche, {
      ...{ role: "server", identity, earlyData: "allowed", alpn: [this.#options.alpn] },
      verification: { kind: "strict", caPem },
    });
  }

  #lenientConfig(...alpn: string[]): NativeConfig {
    return transportConfig(this.#quiche, {
      ...{ role: "server", identity: this.#tls.identity, earlyData: "never" },
      ...{ verification: { kind: "danger-any-key" }, alpn },
    });
  }

  #contextFor(source: string): { readonly context: TlsContext; readonly config: NativeConfig } {
    if (this.#pairing !== undefined) return { context: "pairing", config: this.#pairing() };
    const isExpected = this.#options.isReadmitting?.() === true;
    if (!isExpected || !this.#validation.ledger.hasFailed(source))
      return { context: "strict", config: this.#strict };
    return { context: "renewal", config: this.#lenientConfig(this.#options.alpn) };
  }

  #read(arrivals: readonly Arrival[]): void {
    const { onHandling } = this.#options;
    const touched = new Set<QuicConnection>();
    for (const arrival of arrivals) {
      this.#guarded(() => {
        const entry = this.#route(arrival);
        if (entry === undefined) return;
        onHandling?.(entry.connection);
        entry.connection.receive(arrival.datagram, arrival.from, arrival.socket.address);
        if (entry.isHalfOpen && !entry.connection.hasHeard) this.#dropUnheard(entry);
        else touched.add(entry.connection);
      });
    }
    for (const connection of touched) {
      onHandling?.(connection);
      this.#guarded(() => connection.afterReceive());
    }
    onHandling?.(undefined);
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

  #route(arrival: Arrival): Entry | undefined {
    const { datagram } = arrival;
    if (!isLong(datagram)) {
      const entry = this.#routes.get(datagram.toString("latin1", 1, 1 + CONNECTION_ID_BYTES));
      if (entry === undefined) this.#counters.unroutable += 1;
      return entry;
    }
    const header = parseLongHeader(datagram);
    if (header === undefined) {
      this.#counters.malformed += 1;
      return undefined;
    }
    return this.#routes.get(header.dcid.toString("latin1")) ?? this.#stranger(header, arrival);
  }

  /** An Initial that does not decrypt costs its sender a place in no table. */
  #dropUnheard({ connection }: Entry): void {
    this.#counters.malformed += 1;
    connection.abandon();
  }

  #stranger(header: LongHeader, arrival: Arrival): Entry | undefined {
    const { datagram } = arrival;
    const isWhole = datagram.length >= INITIAL_DATAGRAM_BYTES_MIN;
    if (header.kind === "other-version") {
      this.#counters.otherVersion += 1;
      if (isWhole && header.version !== 0) this.#negotiate(header, arrival);
    } else if (header.kind === "zero-rtt") this.#counters.strayEarlyData += 1;
    else if (header.kind !== "initial" || this.#endedIds.has(header.dcid)) this.#counters.unroutable += 1;
    else if (!isWhole || header.dcid.length < FIRST_CONNECTION_ID_BYTES_MIN) this.#counters.malformed += 1;
    else return this.#newcomer(header, arrival);
    return undefined;
  }

  #negotiate(header: LongHeader, { from, socket }: Arrival): void {
    const packet = versionNegotiation(header, this.#options.random.bytes(1)[0] ?? 0);
    const buffer = socket.acquire();
    buffer.set(packet);
    socket.send(buffer, packet.length, from);
  }

  #newcomer(header: LongHeader, arrival: Arrival): Entry | undefined {
    const isFull = this.#isClosing || this.#entries.size >= this.#limits.connections;
    const reception = isFull
      ? ({ kind: "refused" } as const)
      : this.#validation.receive(header, arrival.from);
    if (reception.kind === "welcome") return this.#accept(header, reception.newcomer, arrival);
    if (reception.kind === "retry") this.#retry(header, reception, arrival);
    else this.#counters.overLimit += 1;
    return undefined;
  }

  #retry(header: LongHeader, answer: { newId: Buffer; token: Buffer }, { from, socket }: Arrival): void {
    this.#counters.retries += 1;
    const buffer = socket.acquire();
    const { scid, dcid } = header;
    const length = this.#quiche.retry(scid, dcid, answer.newId, answer.token, QUIC_V1, buffer);
    socket.send(buffer, length, from);
  }

  #accept(header: LongHeader, { id, originalId, source }: Newcomer, { from, socket }: Arrival): Entry {
    const { context, config } = this.#contextFor(source);
    const remote = { host: from.host, port: from.port };
    const ids = new Set<string>();
    const connection: QuicConnection = new QuicConnection({
      native: this.#quiche.Connection.accept(id, originalId ?? null, socket.address, remote, config),
      ...{ role: "server", socket, remote, originalId: header.dcid, isValidated: originalId !== undefined },
      admit: (handshake) => this.#admit({ ...handshake, context }, entry),
      established: (ready) => this.#established(ready),
      routes: this.#routesOf(ids, () => entry),
      ...{ clock: this.#options.clock, random: this.#options.random, logger: this.#options.logger },
      scratch: this.#scratch,
      schedule: (ready) => this.#turn.schedule(ready),
      handling: this.#options.onHandling,
      gone: (ended) => this.#remove(ended),
    });
    const deadline = this.#options.clock.setTimer(this.#limits.handshakeMs, () => this.#expired(connection));
    const isValidated = originalId !== undefined;
    const entry: Entry = { connection, ids, source, isValidated, deadline, isHalfOpen: true };
    this.#add(entry, [id, header.dcid]);
    // Long before it is gone: whoever tries again meets what its failure means.
    void connection.closed.then(() => this.#settle(entry, connection.wasAdmitted ? "done" : "failed"));
    return entry;
  }

  #routesOf(ids: Set<string>, entry: () => Entry): Routes {
    return {
      add: (id) => {
        const key = Buffer.from(id).toString("latin1");
        ids.add(key);
        this.#routes.set(key, entry());
      },
      remove: (id) => {
        const key = Buffer.from(id).toString("latin1");
        if (ids.delete(key)) this.#routes.delete(key);
      },
    };
  }

  #add(entry: Entry, ids: readonly Buffer[]): void {
    for (const id of ids) {
      const key = id.toString("latin1");
      entry.ids.add(key);
      this.#routes.set(key, entry);
    }
    this.#entries.set(entry.connection, entry);
    this.#validation.ledger.began(entry.source);
    this.#counters.accepted += 1;
  }

  #admit(handshake: ServerHandshake, entry: Entry): Admission {
    const verdict = this.#judge(handshake);
    if (handshake.isEarlyData) this.#counters.earlyData += 1;
    else if (verdict.kind === "admitted") this.#counters.admitted += 1;
    else {
      this.#counters.refused += 1;
      this.#settle(entry, "done");
    }
    return verdict;
  }

  /** A ticket of the pairing context proves nothing: nobody checked the chain it was issued on. */
  #judge(handshake: ServerHandshake): Admission {
    if (handshake.context !== "strict" && handshake.isResumed) {
      const error = new GatehouseError("quic.not-admitted", "sessions of another context are not resumed");
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

  #established(connection: QuicConnection): void {
    const entry = this.#entries.get(connection);
    if (entry !== undefined) this.#settle(entry, "done");
  }

  /** The handshake is over, one way or the other. */
  #settle(entry: Entry, outcome: "done" | "failed"): void {
    if (!entry.isHalfOpen) return;
    entry.isHalfOpen = false;
    if (outcome === "failed" && entry.connection.hasHeard) this.#counters.failedHandshakes += 1;
    entry.deadline[Symbol.dispose]();
    this.#validation.ledger.ended(entry.source, outcome, entry.isValidated);
  }

  #expired(connection: QuicConnection): void {
    this.#counters.handshakeTimeouts += 1;
    connection.close("limit", "the handshake took too long");
    // The library would keep it for another three seconds; under a flood that is what fills the table.
    setImmediate(() => connection.abandon());
  }

  #socketLost(socket: DatagramSocket): void {
    for (const connection of [...this.#entries.keys()]) {
      if (connection.paths.uses(socket)) connection.abandon();
    }
  }

  #remove(connection: QuicConnection): void {
    const entry = this.#entries.get(connection);
    if (entry === undefined) return;
    const { hasHeard } = connection;
    this.#counters.repeats += connection.repeats;
    this.#counters.pathMoves += connection.paths.moves;
    // Whoever was let in by a ticket and left at once has failed at nothing.
    this.#settle(entry, connection.wasAdmitted ? "done" : "failed");
    this.#entries.delete(connection);
    for (const id of entry.ids) this.#routes.delete(id);
    // A forger must not be able to keep out whose first id it has seen.
    if (hasHeard && connection.originalId !== undefined) this.#endedIds.add(connection.originalId);
  }
}
