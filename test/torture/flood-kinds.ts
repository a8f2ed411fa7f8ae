/** The floods: each says what its next datagram is; whoever runs it keeps the rate. */
import { METHODS } from "../../src/gen/index.ts";
import {
  type NativeConnection,
  nextDatagram,
  RoguePeer,
  remoteOf,
  rogueConfig,
  rogueConnection,
  type Target,
} from "./rogue-peer.ts";
import { Sources } from "./sources.ts";

export interface Flood extends Disposable {
  /** Sends what is next; answers how many datagrams that took, 0 when there is nothing to send right now. */
  readonly next: () => number;
  /** What it did, beyond datagrams. */
  readonly figures: () => Readonly<Record<string, number>>;
}

export interface FloodOptions extends Target {
  /** Datagrams it will be asked for at most. */
  readonly datagrams: number;
}

/** Distinct Initials made beforehand; making one costs more than sending it. */
const INITIALS_MAX = 50_000;
const INITIAL_PORTS = 512;
const HALF_OPEN_PORTS = 2_048;
/** A port starts a handshake anew after so long, and repeats its first flight until then. */
const HALF_OPEN_MS = 2_000;
const SLOW_CONNECTIONS = 20;
const SLOW_STREAMS_PER_CONNECTION = 256;
const STREAM_FLOOD_CONNECTIONS = 4;
const STREAMS_PER_TURN = 32;
const PATH_CONNECTIONS = 16;
/** For each connection more than the door lets it use up. */
const PATH_PORTS = 2_048;
/** The library frees its connections by finalizers, and the collector does not see their size. */
const CONNECTIONS_PER_COLLECTION = 2_000;

const LONG_RETRY = 0xf0;

/** The head of a frame of 100 bytes that never come. */
const SLOW_FRAME_HEAD = Uint8Array.of(100, 0x0a, 98);
const ONE_BYTE = Uint8Array.of(0x20);

export const FLOODS = {
  initials,
  "half-open": halfOpen,
  "slow-streams": slowStreams,
  streams: streamFlood,
  paths: pathFlood,
} as const satisfies Record<string, (options: FloodOptions) => Promise<Flood>>;

export type FloodKind = keyof typeof FLOODS;

export function isFloodKind(text: string): text is FloodKind {
  return Object.hasOwn(FLOODS, text);
}

/** Real ClientHellos under connection ids of their own, each from the next of many ports; nobody reads the answers. */
async function initials(options: FloodOptions): Promise<Flood> {
  const sources = await Sources.open(INITIAL_PORTS, "strangers");
  const config = rogueConfig(options);
  const made = Array.from({ length: Math.min(options.datagrams, INITIALS_MAX) }, (_, index) => {
    if (index % CONNECTIONS_PER_COLLECTION === 0) globalThis.gc?.();
    const datagram = nextDatagram(rogueConnection(options, config));
    if (datagram === undefined) throw new Error("the library made no Initial");
    return datagram;
  });
  let sent = 0;
  return {
    next: () => {
      const datagram = made[sent % made.length];
      if (datagram === undefined) return 0;
      sources.send(sent, datagram, options.port);
      sent += 1;
      return 1;
    },
    figures: () => ({ distinct: Math.min(sent, made.length), ports: sources.size }),
    [Symbol.dispose]: () => sources[Symbol.dispose](),
  };
}

interface HalfOpen {
  readonly connection: NativeConnection;
  readonly bornMs: number;
  flight: Buffer | undefined;
}

/** Handshakes from many ports that prove their address when asked to, and never finish. */
async function halfOpen(options: FloodOptions): Promise<Flood> {
  const sources = await Sources.open(HALF_OPEN_PORTS, "strangers");
  const config = rogueConfig(options);
  const open = new Map<number, HalfOpen>();
  const counts = { handshakes: 0, retriesObeyed: 0, answers: 0 };
  sources.onDatagram((datagram, index) => {
    counts.answers += 1;
    const handshake = open.get(index);
    // Anything else would bring the handshake forward.
    if (handshake === undefined || ((datagram[0] ?? 0) & LONG_RETRY) !== LONG_RETRY) return;
    try {
      handshake.connection.recv(datagram, { from: remoteOf(options), to: { host: "127.0.0.2", port: 1 } });
      counts.retriesObeyed += 1;
    } catch {
      // For the handshake before.
    }
  });
  const begin = (index: number): HalfOpen => {
    if (counts.handshakes % CONNECTIONS_PER_COLLECTION === 0) globalThis.gc?.();
    counts.handshakes += 1;
    const handshake = {
      connection: rogueConnection(options, config),
      bornMs: performance.now(),
      flight: undefined,
    };
    open.set(index, handshake);
    return handshake;
  };
  let turn = 0;
  return {
    next: () => {
      const index = turn++ % sources.size;
      const known = open.get(index);
      const isFresh = known !== undefined && performance.now() - known.bornMs < HALF_OPEN_MS;
      const handshake = isFresh ? known : begin(index);
      handshake.flight = nextDatagram(handshake.connection) ?? handshake.flight;
      if (handshake.flight === undefined) return 0;
      sources.send(index, handshake.flight, options.port);
      return 1;
    },
    figures: () => ({ ...counts, ports: sources.size }),
    [Symbol.dispose]: () => sources[Symbol.dispose](),
  };
}

/** As many streams as a device may have, each with a request that comes at one byte a second. */
async function slowStreams(options: FloodOptions): Promise<Flood> {
  const { peers, sources } = await roguePeers(options, SLOW_CONNECTIONS, SLOW_CONNECTIONS);
  const tables = peers.map(() => new SlowStreams());
  return {
    next: inTurn(peers, (peer, index) => {
      const { established } = peer;
      if (established !== undefined) tables[index]?.drip(established);
      return peer.pump(index);
    }),
    figures: () => ({
      connections: total(peers.map(({ connections }) => connections)),
      streamsOpened: total(tables.map(({ opened }) => opened)),
      streamsEndedByDoor: total(tables.map(({ ended }) => ended)),
    }),
    [Symbol.dispose]: () => sources[Symbol.dispose](),
  };
}

class SlowStreams {
  opened = 0;
  ended = 0;
  #connection: NativeConnection | undefined;
  #nextId = 0;
  #turn = 0;
  readonly #ids: number[] = [];

  /** One byte on the next stream, or a new stream where there may be one more. */
  drip(connection: NativeConnection): void {
    if (this.#connection !== connection) this.#restart(connection);
    if (this.#ids.length < SLOW_STREAMS_PER_CONNECTION && connection.peerStreamsLeftBidi() > 0) {
      this.#write(connection, this.#nextId, SLOW_FRAME_HEAD);
      this.#ids.push(this.#nextId);
      this.#nextId += 4;
      this.opened += 1;
      return;
    }
    this.#turn += 1;
    const at = this.#turn % Math.max(1, this.#ids.length);
    const id = this.#ids[at];
    if (id === undefined || this.#write(connection, id, ONE_BYTE)) return;
    this.#ids.splice(at, 1);
    this.ended += 1;
  }

  #write(connection: NativeConnection, id: number, bytes: Uint8Array): boolean {
    try {
      connection.streamSend(id, bytes, false);
      return true;
    } catch {
      forgetStream(connection, id);
      return false;
    }
  }

  #restart(connection: NativeConnection): void {
    this.#connection = connection;
    this.#ids.length = 0;
    this.#nextId = 0;
  }
}

/** Opens a call on each of as many streams as the credit allows, and resets them all at once, over and over. */
async function streamFlood(options: FloodOptions): Promise<Flood> {
  const { peers, sources } = await roguePeers(options, STREAM_FLOOD_CONNECTIONS, STREAM_FLOOD_CONNECTIONS);
  const opened = new Map<NativeConnection, number[]>();
  const nextIds = new WeakMap<NativeConnection, number>();
  const request = pingRequest();
  let streams = 0;
  const openSome = (connection: NativeConnection): void => {
    const ids: number[] = [];
    const first = nextIds.get(connection) ?? 0;
    const count = Math.min(STREAMS_PER_TURN, connection.peerStreamsLeftBidi());
    for (let index = 0; index < count; index += 1) {
      ids.push(first + 4 * index);
      connection.streamSend(first + 4 * index, request, false);
    }
    nextIds.set(connection, first + 4 * count);
    streams += count;
    if (count > 0) opened.set(connection, ids);
  };
  return {
    next: inTurn(peers, (peer, index) => {
      const { established } = peer;
      if (established !== undefined) {
        const before = opened.get(established) ?? [];
        opened.delete(established);
        for (const id of before) forgetStream(established, id);
        if (before.length === 0) openSome(established);
      }
      return peer.pump(index);
    }),
    figures: () => ({ connections: total(peers.map(({ connections }) => connections)), streams }),
    [Symbol.dispose]: () => sources[Symbol.dispose](),
  };
}

/** Leaves from another address with every datagram, as no NAT does. */
async function pathFlood(options: FloodOptions): Promise<Flood> {
  const { peers, sources } = await roguePeers(options, PATH_CONNECTIONS, PATH_PORTS);
  let hops = 0;
  return {
    next: inTurn(peers, (peer, index) => {
      const { established } = peer;
      if (established === undefined) return peer.pump(index);
      peer.stockConnectionIds();
      established.sendAckEliciting();
      // Its own sockets are every so-manieth, so that answers find it.
      const sent = peer.pump(index + hops * peers.length);
      if (sent > 0) hops += 1;
      return sent;
    }),
    figures: () => ({
      hops,
      addresses: sources.size,
      connections: total(peers.map(({ connections }) => connections)),
    }),
    [Symbol.dispose]: () => sources[Symbol.dispose](),
  };
}

/** Each peer hears what comes to any socket: the library drops what is another connection's. */
async function roguePeers(
  options: FloodOptions,
  count: number,
  ports: number,
): Promise<{ readonly peers: readonly RoguePeer[]; readonly sources: Sources }> {
  const sources = await Sources.open(ports, "devices");
  const config = rogueConfig(options);
  const peers = Array.from({ length: count }, () => new RoguePeer(options, config, sources));
  sources.onDatagram((datagram, index) => peers[index % peers.length]?.receive(datagram));
  return { peers, sources };
}

/** Asks one peer after the other, until one has something to send. */
function inTurn(peers: readonly RoguePeer[], send: (peer: RoguePeer, index: number) => number): () => number {
  let turn = 0;
  return () => {
    for (let tries = 0; tries < peers.length; tries += 1) {
      const index = turn++ % peers.length;
      const peer = peers[index];
      const sent = peer === undefined ? 0 : send(peer, index);
      if (sent > 0) return sent;
    }
    return 0;
  };
}

/** Both directions, whatever is left of them. */
function forgetStream(connection: NativeConnection, id: number): void {
  for (const direction of [0, 1]) {
    try {
      connection.streamShutdown(id, direction, 0);
    } catch {
      // That direction is over.
    }
  }
}

/** An open frame for a ping whose message never comes. */
function pingRequest(): Uint8Array {
  const method = Buffer.from(METHODS.Health.Ping.path);
  const open = Buffer.concat([Uint8Array.of(0x0a, method.length), method]);
  const frame = Buffer.concat([Uint8Array.of(0x0a, open.length), open]);
  return Buffer.concat([Uint8Array.of(frame.length), frame]);
}

function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
