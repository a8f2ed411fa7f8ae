import type { SocketAddress } from "./address.ts";
import type { HandshakeFlights } from "./handshake-flights.ts";
import type { PathEnds } from "./left-paths.ts";
import type { NativeConnection } from "./native.ts";
import type { DatagramSocket } from "./network.ts";
import type { Pacer } from "./pacer.ts";

/** Packets sent in one flush before other connections get their turn. */
const PACKETS_PER_FLUSH = 64;
const DONE = Number.POSITIVE_INFINITY;

export interface PacketWriterOptions {
  readonly native: NativeConnection;
  readonly socket: DatagramSocket;
  readonly pacer: Pacer;
  readonly sent: () => void;
}

/** Takes packets from the library to the socket of the path that they are for, no faster than the path bears. */
export class PacketWriter {
  /** Present until the handshake is confirmed. */
  flights: HandshakeFlights | undefined;
  readonly #options: PacketWriterOptions;
  /** The path in use and those that are tried or were left a moment ago. */
  readonly #sockets: DatagramSocket[];

  constructor(options: PacketWriterOptions) {
    this.#options = options;
    this.#sockets = [options.socket];
  }

  addSocket(socket: DatagramSocket): void {
    this.#sockets.push(socket);
  }

  removeSocket(socket: DatagramSocket): void {
    this.#sockets.splice(this.#sockets.indexOf(socket), 1);
  }

  get sockets(): readonly DatagramSocket[] {
    return this.#sockets;
  }

  /** Sends what there is. Answers in how many milliseconds there may be more: 0 in the next turn, infinite: when asked. */
  flush(): number {
    const { pacer } = this.#options;
    for (let sent = 0; sent < PACKETS_PER_FLUSH; sent += 1) {
      if (this.flights?.isBlocked === true) return DONE;
      const delayMs = pacer.delayMs();
      if (delayMs > 0) return delayMs;
      if (!this.#sendOne()) return this.#isCongested() ? 0 : DONE;
    }
    return 0;
  }

  /** Sends what the library has for the path `left`, by the one in use. */
  flushLeft(left: PathEnds, active: PathEnds): void {
    const socket = this.#socketOf(active.local);
    for (let sent = 0; sent < PACKETS_PER_FLUSH && socket?.isCongested === false; sent += 1) {
      const buffer = socket.acquire();
      const packet = this.#next(buffer, left);
      if (packet === null) {
        socket.release(buffer);
        return;
      }
      socket.send(buffer, packet[0], active.remote);
    }
  }

  /** A copy of an earlier datagram. */
  sendCopy(datagram: Uint8Array, to: SocketAddress): void {
    const [socket] = this.#sockets;
    if (socket === undefined || socket.isCongested) return;
    const buffer = socket.acquire();
    buffer.set(datagram);
    socket.send(buffer, datagram.length, to);
  }

  #sendOne(): boolean {
    const [first] = this.#sockets;
    if (first === undefined || this.#isCongested()) return false;
    const buffer = first.acquire();
    const packet = this.#next(buffer);
    if (packet === null) {
      first.release(buffer);
      return false;
    }
    const [length, { from, to }] = packet;
    const socket = this.#sockets.length === 1 ? first : this.#socketOf(from);
    if (this.flights !== undefined) this.#keep(this.flights, buffer.subarray(0, length), to);
    this.#options.pacer.spent(length);
    this.#options.sent();
    if (socket === undefined) first.release(buffer);
    else socket.send(buffer, length, to);
    return true;
  }

  #keep(flights: HandshakeFlights, datagram: Uint8Array, to: SocketAddress): void {
    if (flights.isOver) this.flights = undefined;
    else flights.sent(datagram, to);
  }

  #isCongested(): boolean {
    return this.#sockets[0]?.isCongested === true;
  }

  /** A packet for a path whose socket is closed is lost, like any. */
  #socketOf(local: SocketAddress): DatagramSocket | undefined {
    return this.#sockets.find(({ address }) => address.port === local.port && address.host === local.host);
  }

  #next(buffer: Buffer, left?: PathEnds): ReturnType<NativeConnection["send"]> {
    const { native } = this.#options;
    try {
      return left === undefined ? native.send(buffer) : native.sendOnPath(buffer, left.local, left.remote);
    } catch {
      return null;
    }
  }
}
