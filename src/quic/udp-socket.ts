import { createSocket, type Socket } from "node:dgram";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { GatehouseError, type Logger } from "../core/index.ts";
import { formatAddress, type SocketAddress } from "./address.ts";
import type { DatagramSocket, Network, OnDatagram } from "./network.ts";

const SOCKET_BUFFER_BYTES = 4_194_304;
const PACKET_BUFFER_BYTES = 1_500;
/** Buffers kept for reuse. */
const POOL_SIZE_MAX = 64;
/** Sends that wait for the kernel before the connections wait too. */
const QUEUED_SENDS_MAX = 512;
/** A kernel that takes nothing for so many turns of the event loop is not waited for any longer. */
const CLOSE_TURNS_MAX = 1_000;

/** The machine's own network. */
export const udpNetwork: Network = {
  bind: (local, logger) => UdpSocket.bind(local, logger),
  connect: (remote, logger) => UdpSocket.connect(remote, logger),
  localAddresses(family) {
    return Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ address }) => isIP(address) === family && !address.startsWith("fe80:"))
      .map(({ address }) => address);
  },
};

/** One UDP socket, and the pool of buffers its sends borrow until the kernel has taken them. */
export class UdpSocket implements DatagramSocket {
  readonly address: SocketAddress;
  readonly #socket: Socket;
  readonly #isConnected: boolean;
  readonly #pool: Buffer[] = [];
  #isClosed = false;

  private constructor(socket: Socket, isConnected: boolean) {
    this.#socket = socket;
    this.#isConnected = isConnected;
    const { address, port } = socket.address();
    this.address = { host: address, port };
  }

  /** @throws quic.address-in-use, quic.bad-address */
  static async bind(local: SocketAddress, logger: Logger): Promise<UdpSocket> {
    const socket = openSocket(local.host);
    await settled(socket, local, (done) =>
      socket.bind({ address: local.host, port: local.port, exclusive: true }, done),
    );
    widen(socket, logger);
    return new UdpSocket(socket, false);
  }

  /** A socket for one remote address: the kernel tells when nothing listens there, and chooses the local address. */
  static async connect(remote: SocketAddress, logger: Logger): Promise<UdpSocket> {
    const socket = openSocket(remote.host);
    await settled(socket, remote, (done) => socket.connect(remote.port, remote.host, done));
    widen(socket, logger);
    return new UdpSocket(socket, true);
  }

  listen(onDatagram: OnDatagram, failed: (error: NodeJS.ErrnoException) => void): void {
    this.#socket.on("message", (datagram, { address, port }) => {
      // Port 0 says that no answer is wanted (RFC 768), and Node refuses to send one: only a forger uses it.
      if (port !== 0) onDatagram(datagram, { host: address, port });
    });
    this.#socket.on("error", failed);
  }

  get isCongested(): boolean {
    return this.#socket.getSendQueueCount() >= QUEUED_SENDS_MAX;
  }

  acquire(): Buffer {
    return this.#pool.pop() ?? Buffer.allocUnsafeSlow(PACKET_BUFFER_BYTES);
  }

  release(buffer: Buffer): void {
    if (this.#pool.length < POOL_SIZE_MAX) this.#pool.push(buffer);
  }

  send(buffer: Buffer, length: number, to: SocketAddress): void {
    if (this.#isClosed) return;
    try {
      if (this.#isConnected) this.#socket.send(buffer, 0, length);
      else this.#socket.send(buffer, 0, length, to.port, to.host);
    } catch {
      // An address that Node will not send to: a datagram lost.
    }
    // Node hands a datagram to the kernel at once when it can. A callback for each would cost a tick and a closure; only
    // a buffer that had to queue is not ours to use again.
    if (this.#socket.getSendQueueCount() === 0) this.release(buffer);
  }

  /** Waits for the sends that queue, so that a close frame leaves before the socket does. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (let turn = 0; turn < CLOSE_TURNS_MAX && !this.#isClosed; turn += 1) {
      if (this.#socket.getSendQueueCount() === 0) break;
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (this.#isClosed) return;
    this.#isClosed = true;
    await new Promise<void>((resolve) => this.#socket.close(resolve));
  }
}

function openSocket(host: string): Socket {
  const family = isIP(host);
  if (family === 0) throw new GatehouseError("quic.bad-address", `${host} is not an IP address`);
  return createSocket({
    type: family === 6 ? "udp6" : "udp4",
    ipv6Only: family === 6,
    // Addresses are literal here; the default resolver would cost each send a turn of the event loop.
    lookup: (name, _options, callback) => callback(null, name, family),
  });
}

function settled(socket: Socket, address: SocketAddress, start: (done: () => void) => void): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const failed = (cause: NodeJS.ErrnoException): void => {
      socket.close();
      reject(socketError(cause, address));
    };
    socket.once("error", failed);
    start(() => {
      socket.off("error", failed);
      resolve();
    });
  });
}

function socketError(cause: NodeJS.ErrnoException, address: SocketAddress): GatehouseError {
  const where = formatAddress(address);
  if (cause.code === "EADDRINUSE") {
    return new GatehouseError("quic.address-in-use", `the UDP port of ${where} is taken`, {
      hint: "stop the other process, or choose another address with --listen HOST:PORT",
      cause,
    });
  }
  return new GatehouseError("quic.bad-address", `cannot use ${where} (${cause.code ?? "unknown"})`, {
    hint: "use an address of this machine and a port above 1023",
    cause,
  });
}

function widen(socket: Socket, logger: Logger): void {
  try {
    socket.setRecvBufferSize(SOCKET_BUFFER_BYTES);
    socket.setSendBufferSize(SOCKET_BUFFER_BYTES);
  } catch {
    // The kernel's own limit stays; the connection works, a burst may be dropped.
    logger.debug("udp-buffers-kept-small");
  }
}
