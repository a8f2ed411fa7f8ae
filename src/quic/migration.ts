import { type Clock, GatehouseError, isGatehouseError, type Logger } from "../core/index.ts";
import type { QuicConnection } from "./connection.ts";
import type { DatagramSocket, Network } from "./network.ts";

/** A challenge that is not answered by then is sent again; the library would wait for a second. */
const PROBE_ROUND_TRIPS = 1.5;
const PROBE_MS_MIN = 25;
const PROBE_MS_UNKNOWN = 100;
const PROBES_MAX = 5;
/** New paths tried, one after the other: the server may have had no connection id left for one of them. */
const PATHS_TRIED_MAX = 3;
const STARTS_MAX = 40;
/** What is still on its way to an address that was left. */
const LINGER_MS = 1_000;

export interface MigrationOptions {
  readonly connection: QuicConnection;
  readonly network: Network;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Takes over a socket's datagrams. */
  readonly listen: (socket: DatagramSocket) => void;
}

/** The client's side of connection migration (RFC 9000 §9): it tries the new path, moves, and leaves the old one. */
export class Migration implements AsyncDisposable {
  readonly #options: MigrationOptions;
  readonly #left = new Set<DatagramSocket>();
  #current: DatagramSocket;
  #underWay: Promise<void> | undefined;

  constructor(options: MigrationOptions, socket: DatagramSocket) {
    this.#options = options;
    this.#current = socket;
  }

  /** The socket of the path in use. */
  get socket(): DatagramSocket {
    return this.#current;
  }

  /**
   * Moves to a new local port, on whatever address leads to the server now. Moves asked for meanwhile are this one.
   * @throws quic.closed when the connection ends first, quic.timed-out when the new path does not work, quic.limit when it
   * has moved as often as it can
   */
  move(): Promise<void> {
    this.#underWay ??= this.#move().finally(() => {
      this.#underWay = undefined;
    });
    return this.#underWay;
  }

  /** The machine's addresses have changed: moves when packets would now leave from another one. */
  async followRoute(): Promise<void> {
    const { network, connection, logger } = this.#options;
    const probe = await network.connect(connection.remote, logger);
    const leadsElsewhere = probe.address.host !== this.#current.address.host;
    await probe[Symbol.asyncDispose]();
    if (leadsElsewhere && connection.isOpen) await this.move();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of [this.#current, ...this.#left]) await socket[Symbol.asyncDispose]();
  }

  async #move(): Promise<void> {
    for (let tried = 1; ; tried += 1) {
      try {
        await this.#moveOnce();
        return;
      } catch (failure) {
        if (tried === PATHS_TRIED_MAX || !isGatehouseError(failure, "quic.timed-out")) throw failure;
      }
    }
  }

  async #moveOnce(): Promise<void> {
    const { network, connection, logger, listen } = this.#options;
    const socket = await network.connect(connection.remote, logger);
    listen(socket);
    this.#left.add(socket);
    const family = socket.address.host.includes(":") ? 6 : 4;
    const isOldAlive = network.localAddresses(family).includes(this.#current.address.host);
    try {
      await this.#switch(socket, isOldAlive ? "validated" : "at-once");
    } catch (failure) {
      this.#leave(socket, 0);
      throw failure;
    }
    const old = this.#current;
    this.#current = socket;
    this.#left.delete(socket);
    this.#leave(old, LINGER_MS);
  }

  #switch(socket: DatagramSocket, mode: "validated" | "at-once"): Promise<void> {
    const { connection } = this.#options;
    return new Promise((resolve, reject) => {
      let probing: Disposable | undefined;
      const start = (attempt: number): void => {
        const isStarted =
          connection.isEstablished &&
          connection.paths.startMove(socket, mode, () => {
            probing?.[Symbol.dispose]();
            resolve();
          });
        if (isStarted && mode === "validated") probing = this.#probe(socket, reject);
        // Right after the handshake the server's ids may still be on their way.
        else if (!isStarted && attempt < STARTS_MAX)
          probing = this.#options.clock.setTimer(PROBE_MS_MIN, () => start(attempt + 1));
        else if (!isStarted) reject(new GatehouseError("quic.limit", "this connection cannot move any more"));
      };
      start(1);
      void connection.closed.then((error) => {
        probing?.[Symbol.dispose]();
        reject(error);
      });
    });
  }

  #probe(socket: DatagramSocket, reject: (error: GatehouseError) => void): Disposable {
    const { connection, clock } = this.#options;
    let probes = 1;
    let timer: Disposable;
    const arm = (): void => {
      const delayMs = Math.max(PROBE_MS_MIN, PROBE_ROUND_TRIPS * (connection.rttMs ?? PROBE_MS_UNKNOWN));
      timer = clock.setTimer(delayMs * 2 ** Math.max(0, probes - 3), () => {
        if (probes === PROBES_MAX) {
          reject(new GatehouseError("quic.timed-out", "nothing gets through from the new address"));
          return;
        }
        probes += 1;
        connection.paths.probeAgain(socket);
        arm();
      });
    };
    arm();
    return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
  }

  /** Closes a socket once what was on its way to it has come. */
  #leave(socket: DatagramSocket, afterMs: number): void {
    this.#left.add(socket);
    const close = (): void => {
      this.#left.delete(socket);
      this.#options.connection.paths.drop(socket);
      void socket[Symbol.asyncDispose]();
    };
    if (afterMs === 0) close();
    else this.#options.clock.setTimer(afterMs, close);
  }
}
