/** The addresses floods come from, any number of ports on each. Linux: all of 127/8 is this machine. */
import { createSocket, type Socket } from "node:dgram";

/** Apart, for the door holds against an address what strangers did there. */
const FIRST_HOSTS = { strangers: 2, devices: 6 } as const;
const HOSTS = 4;

export class Sources implements Disposable {
  readonly #sockets: readonly Socket[];

  private constructor(sockets: readonly Socket[]) {
    this.#sockets = sockets;
  }

  /** `count` ports, spread over 127.0.0.2 to 127.0.0.5 for strangers, 127.0.0.6 to 127.0.0.9 for paired devices. */
  static async open(count: number, whose: keyof typeof FIRST_HOSTS): Promise<Sources> {
    const sockets = Array.from({ length: count }, (_, index) =>
      bind(`127.0.0.${FIRST_HOSTS[whose] + (index % HOSTS)}`),
    );
    return new Sources(await Promise.all(sockets));
  }

  get size(): number {
    return this.#sockets.length;
  }

  /** Losses are the network's business. */
  send(index: number, datagram: Uint8Array, port: number): void {
    this.#sockets[index % this.#sockets.length]?.send(datagram, port, "127.0.0.1");
  }

  onDatagram(take: (datagram: Buffer, index: number) => void): void {
    for (const [index, socket] of this.#sockets.entries())
      socket.on("message", (datagram) => take(datagram, index));
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.close();
  }
}

async function bind(host: string): Promise<Socket> {
  const socket = createSocket({
    type: "udp4",
    // Addresses are literal here.
    lookup: (name, _options, callback) => callback(null, name, 4),
  });
  socket.on("error", () => undefined);
  await new Promise<void>((resolve) => socket.bind(0, host, resolve));
  return socket;
}
