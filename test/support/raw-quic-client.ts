import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { native } from "@matrixai/quic";
import type { SocketAddress, TlsIdentity } from "../../src/quic/index.ts";

type NativeConnection = ReturnType<typeof native.quiche.Connection.connect>;

export interface RawClientOptions {
  readonly remote: SocketAddress;
  readonly identity: TlsIdentity;
  readonly alpn: string;
  readonly serverName?: string;
  /** A ticket of an earlier connection. */
  readonly session?: Uint8Array;
}

/** The attacker's client: the bare library under the test's own hand, every datagram seen and held back at will. */
export class RawQuicClient implements Disposable {
  readonly connection: NativeConnection;
  readonly #socket: Socket;
  readonly #remote: SocketAddress;
  readonly #local: SocketAddress;
  readonly #wakers: (() => void)[] = [];

  private constructor(socket: Socket, options: RawClientOptions) {
    this.#socket = socket;
    this.#remote = { host: options.remote.host, port: options.remote.port };
    this.#local = { host: "127.0.0.1", port: socket.address().port };
    const config = native.quiche.Config.withBoringSslCtx(
      false,
      true,
      null,
      [Buffer.from(options.identity.keyPem)],
      [Buffer.from(options.identity.certificatePem)],
      null,
    );
    config.setApplicationProtos([options.alpn]);
    config.setMaxIdleTimeout(5_000);
    config.setInitialMaxData(1_000_000);
    config.setInitialMaxStreamDataBidiLocal(100_000);
    config.enableEarlyData();
    const serverName = options.serverName ?? "server.gatehouse.internal";
    const id = randomBytes(16);
    this.connection = native.quiche.Connection.connect(serverName, id, this.#local, this.#remote, config);
    if (options.session !== undefined) this.connection.setSession(options.session);
    socket.on("message", (datagram) => {
      try {
        this.connection.recv(datagram, { from: this.#remote, to: this.#local });
      } catch {
        // The library keeps what went wrong in `peerError` and `localError`.
      }
      for (const wake of this.#wakers.splice(0)) wake();
    });
  }

  static async open(options: RawClientOptions): Promise<RawQuicClient> {
    const socket = createSocket("udp4");
    await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
    return new RawQuicClient(socket, options);
  }

  /** Every datagram the library wants to send now, unsent. */
  take(): Buffer[] {
    const taken: Buffer[] = [];
    const buffer = Buffer.alloc(1_500);
    for (let packet = this.connection.send(buffer); packet !== null; packet = this.connection.send(buffer)) {
      taken.push(Buffer.from(buffer.subarray(0, packet[0])));
    }
    return taken;
  }

  async send(datagrams: readonly Buffer[]): Promise<void> {
    for (const datagram of datagrams) {
      await new Promise<void>((resolve) => {
        this.#socket.send(datagram, this.#remote.port, this.#remote.host, () => resolve());
      });
    }
  }

  /** One datagram from the server. */
  received(): Promise<void> {
    return new Promise((resolve) => this.#wakers.push(resolve));
  }

  /** Exchanges datagrams until `isDone`. */
  async until(isDone: () => boolean): Promise<void> {
    await this.send(this.take());
    while (!isDone()) {
      await this.received();
      await this.send(this.take());
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
