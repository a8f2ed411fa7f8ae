import { type Clock, GatehouseError, type Logger } from "../core/index.ts";
import type { SocketAddress } from "./address.ts";
import type { DatagramSocket, Network } from "./network.ts";

/** Addresses come and go with cables, leases and tunnels. */
const RESCAN_MS = 5_000;
const PORT_ATTEMPTS = 5;

export type OnArrival = (datagram: Buffer, from: SocketAddress, socket: DatagramSocket) => void;

export interface ListenersOptions {
  readonly listen: readonly SocketAddress[];
  readonly network: Network;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly arrived: OnArrival;
  /** A socket whose address has left this machine. */
  readonly lost: (socket: DatagramSocket) => void;
}

/** A wildcard, with the port that all of its addresses share. */
interface Wildcard {
  readonly family: 4 | 6;
  readonly port: number;
}

/**
 * The sockets of a server: one for each address. A wildcard is bound to each address of this machine by itself, because a
 * socket bound to all of them cannot choose the address that it answers from; it follows the machine's addresses.
 */
export class Listeners implements AsyncDisposable {
  readonly #options: ListenersOptions;
  readonly #sockets: DatagramSocket[] = [];
  readonly #wildcards: Wildcard[] = [];
  #rescan: Disposable | undefined;
  #isClosed = false;

  private constructor(options: ListenersOptions) {
    this.#options = options;
  }

  /** @throws quic.address-in-use, quic.bad-address */
  static async open(options: ListenersOptions): Promise<Listeners> {
    const listeners = new Listeners(options);
    try {
      for (const address of options.listen) await listeners.#listen(address);
      if (listeners.#sockets.length === 0)
        throw new GatehouseError("quic.bad-address", "there is no address to listen on");
    } catch (failure) {
      await listeners[Symbol.asyncDispose]();
      throw failure;
    }
    listeners.#armRescan();
    return listeners;
  }

  /** In the order they were asked for. */
  get sockets(): readonly DatagramSocket[] {
    return this.#sockets;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#rescan?.[Symbol.dispose]();
    for (const socket of this.#sockets) await socket[Symbol.asyncDispose]();
  }

  async #listen(address: SocketAddress): Promise<void> {
    const family = wildcardFamily(address.host);
    if (family === undefined) await this.#bind(address);
    else this.#wildcards.push({ family, port: await this.#bindAll(family, address.port) });
  }

  /** Port 0 takes a port that the first address has free, and hopes that the others have it free as well. */
  async #bindAll(family: 4 | 6, port: number): Promise<number> {
    const [first, ...others] = this.#options.network.localAddresses(family);
    if (first === undefined) return port;
    for (let attempt = 1; ; attempt += 1) {
      const before = this.#sockets.length;
      const chosen = (await this.#bind({ host: first, port })).address.port;
      try {
        for (const host of others) await this.#bind({ host, port: chosen });
        return chosen;
      } catch (failure) {
        for (const socket of this.#sockets.splice(before)) await socket[Symbol.asyncDispose]();
        if (port !== 0 || attempt === PORT_ATTEMPTS) throw failure;
      }
    }
  }

  async #bind(address: SocketAddress): Promise<DatagramSocket> {
    const { network, logger, arrived } = this.#options;
    const socket = await network.bind(address, logger);
    socket.listen(
      (datagram, from) => arrived(datagram, from, socket),
      (error) => logger.warn("udp-error", { code: error.code }),
    );
    this.#sockets.push(socket);
    return socket;
  }

  #armRescan(): void {
    if (this.#wildcards.length === 0 || this.#isClosed) return;
    this.#rescan = this.#options.clock.setTimer(RESCAN_MS, () => {
      void this.#follow().finally(() => this.#armRescan());
    });
  }

  async #follow(): Promise<void> {
    for (const wildcard of this.#wildcards) {
      const present = this.#options.network.localAddresses(wildcard.family);
      await this.#leave(wildcard, present);
      for (const host of present) await this.#join({ host, port: wildcard.port });
    }
  }

  async #leave({ family, port }: Wildcard, present: readonly string[]): Promise<void> {
    const gone = this.#sockets.filter(
      ({ address }) =>
        address.port === port &&
        address.host.includes(":") === (family === 6) &&
        !present.includes(address.host) &&
        !this.#options.listen.some(({ host }) => host === address.host),
    );
    for (const socket of gone) {
      this.#sockets.splice(this.#sockets.indexOf(socket), 1);
      this.#options.lost(socket);
      await socket[Symbol.asyncDispose]();
      this.#options.logger.info("address-left", { address: socket.address.host });
    }
  }

  async #join(address: SocketAddress): Promise<void> {
    const isKnown = this.#sockets.some(
      (socket) => socket.address.host === address.host && socket.address.port === address.port,
    );
    if (isKnown || this.#isClosed) return;
    try {
      await this.#bind(address);
      this.#options.logger.info("address-joined", { address: address.host });
    } catch {
      // It may still be on its way (duplicate address detection): the next look tries again.
    }
  }
}

function wildcardFamily(host: string): 4 | 6 | undefined {
  if (host === "0.0.0.0") return 4;
  return host === "::" ? 6 : undefined;
}
