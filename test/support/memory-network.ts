/** A made-up network in virtual time: seeded loss and delay, NATs that forget, hosts that move. */
import { GatehouseError } from "../../src/core/index.ts";
import type { DatagramSocket, Network, SocketAddress } from "../../src/quic/index.ts";
import type { ManualClock } from "./manual-clock.ts";
import { settled } from "./memory-wire.ts";
import { SeededRandom } from "./seeded-random.ts";

export interface LinkQuality {
  /** Of each datagram, either way. */
  readonly lossRate: number;
  /** One way. */
  readonly delayMs: number;
}

const key = ({ host, port }: SocketAddress): string => `${host} ${port}`;

export class MemoryNetwork {
  quality: LinkQuality;
  /** Of everything that was sent, lost datagrams included. */
  sent = 0;
  readonly #clock: ManualClock;
  readonly #random: SeededRandom;
  readonly #sockets = new Map<string, MemorySocket>();
  /** What the world sees of an inner address, and back. */
  readonly #outside = new Map<string, SocketAddress>();
  readonly #inside = new Map<string, SocketAddress>();
  #nextPort = 40_000;

  constructor(clock: ManualClock, seed: number, quality: LinkQuality = { lossRate: 0, delayMs: 5 }) {
    this.#clock = clock;
    this.#random = new SeededRandom(seed);
    this.quality = quality;
  }

  host(...addresses: string[]): MemoryHost {
    return new MemoryHost(this, addresses);
  }

  /** Everything behind a NAT gets a new port there; the old ones lead nowhere. */
  rebind(): void {
    for (const socket of this.#sockets.values()) {
      if (!socket.isClient) continue;
      const before = this.#outside.get(key(socket.address));
      if (before !== undefined) this.#inside.delete(key(before));
      const outside = { host: "203.0.113.1", port: this.port() };
      this.#outside.set(key(socket.address), outside);
      this.#inside.set(key(outside), socket.address);
    }
  }

  /** Lets `ms` pass in small steps, and all that happens in them happen. */
  async pass(ms: number, until: () => boolean = () => false): Promise<void> {
    for (let passed = 0; passed < ms && !until(); passed += 1) {
      this.#clock.advance(1);
      await settled(2);
    }
  }

  port(): number {
    this.#nextPort += 1;
    return this.#nextPort;
  }

  open(address: SocketAddress, isClient: boolean): MemorySocket {
    if (this.#sockets.has(key(address))) throw new GatehouseError("quic.address-in-use", "taken");
    const socket = new MemorySocket(this, address, isClient);
    this.#sockets.set(key(address), socket);
    return socket;
  }

  close(socket: MemorySocket): void {
    this.#sockets.delete(key(socket.address));
  }

  carry(datagram: Buffer, from: SocketAddress, to: SocketAddress): void {
    this.sent += 1;
    if (this.#random.next() < this.quality.lossRate) return;
    const seen = this.#outside.get(key(from)) ?? from;
    this.#clock.setTimer(this.quality.delayMs, () => {
      const target = this.#inside.get(key(to)) ?? (to.host === "203.0.113.1" ? undefined : to);
      if (target !== undefined) this.#sockets.get(key(target))?.deliver(datagram, seen);
    });
  }
}

/** One machine: its addresses may change. */
export class MemoryHost implements Network {
  readonly addresses: string[];
  readonly #network: MemoryNetwork;

  constructor(network: MemoryNetwork, addresses: string[]) {
    this.#network = network;
    this.addresses = addresses;
  }

  /** On another network from now on; packets from the old address go nowhere. */
  moveTo(address: string): void {
    this.addresses.splice(0, this.addresses.length, address);
  }

  bind(local: SocketAddress): Promise<DatagramSocket> {
    const port = local.port === 0 ? this.#network.port() : local.port;
    return Promise.resolve(this.#open({ host: local.host, port }, false));
  }

  connect(): Promise<DatagramSocket> {
    const [host] = this.addresses;
    if (host === undefined) return Promise.reject(new GatehouseError("quic.bad-address", "no network"));
    return Promise.resolve(this.#open({ host, port: this.#network.port() }, true));
  }

  localAddresses(family: 4 | 6): readonly string[] {
    return this.addresses.filter((address) => address.includes(":") === (family === 6));
  }

  #open(address: SocketAddress, isClient: boolean): MemorySocket {
    const socket = this.#network.open(address, isClient);
    socket.isReachable = () => this.addresses.includes(address.host);
    return socket;
  }
}

class MemorySocket implements DatagramSocket {
  readonly address: SocketAddress;
  readonly isCongested = false;
  readonly isClient: boolean;
  isReachable: () => boolean = () => true;
  readonly #network: MemoryNetwork;
  #onDatagram: ((datagram: Buffer, from: SocketAddress) => void) | undefined;

  constructor(network: MemoryNetwork, address: SocketAddress, isClient: boolean) {
    this.#network = network;
    this.address = address;
    this.isClient = isClient;
  }

  listen(onDatagram: (datagram: Buffer, from: SocketAddress) => void): void {
    this.#onDatagram = onDatagram;
  }

  acquire(): Buffer {
    return Buffer.alloc(1_500);
  }

  release(buffer: Buffer): void {
    buffer.fill(0xaa);
  }

  /** As a pooled buffer, `buffer` is another packet's from here on. */
  send(buffer: Buffer, length: number, to: SocketAddress): void {
    if (this.isReachable())
      this.#network.carry(Buffer.from(buffer.subarray(0, length)), this.address, { ...to });
    this.release(buffer);
  }

  deliver(datagram: Buffer, from: SocketAddress): void {
    if (this.isReachable()) this.#onDatagram?.(Buffer.from(datagram), from);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#network.close(this);
    return Promise.resolve();
  }
}
