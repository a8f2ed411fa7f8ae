import type { TLSSocket } from "node:tls";
import { type Clock, LIMITS } from "../core/index.ts";
import type { TcpAddress } from "./connection.ts";
import { SocketStream } from "./socket-stream.ts";

export interface PairingConnectionOptions {
  /** After TLS; nothing was read from it yet. It has a listener for `error`. Taken. */
  readonly socket: TLSSocket;
  readonly remote: TcpAddress;
  readonly peerCertificates: readonly Uint8Array[];
  readonly tlsExporter: Uint8Array;
  readonly clock: Clock;
}

/** A connection over TCP of somebody who wants to pair: whoever that is. It carries one stream, itself. */
export class TcpPairingConnection {
  readonly remote: TcpAddress;
  /** DER, leaf first: verified against nothing. Its key's possession is proven. */
  readonly peerCertificates: readonly Uint8Array[];
  /** Names this connection (RFC 9266), 32 bytes. */
  readonly tlsExporter: Uint8Array;
  /** Settles once, when the connection is gone. */
  readonly closed: Promise<void>;
  readonly #socket: TLSSocket;
  readonly #clock: Clock;
  #stream: SocketStream | undefined;
  #isClosing = false;

  constructor({ socket, remote, peerCertificates, tlsExporter, clock }: PairingConnectionOptions) {
    this.#socket = socket;
    this.#clock = clock;
    this.remote = remote;
    this.peerCertificates = peerCertificates;
    this.tlsExporter = tlsExporter;
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
  }

  /** Who takes the stream, once the peer has said anything on it; nothing is read before. Call it once. */
  onStream(take: (stream: SocketStream) => void): void {
    this.#socket.once("data", (first: Buffer) => {
      this.#socket.pause();
      if (this.#isClosing) return;
      this.#stream = new SocketStream(this.#socket, first);
      take(this.#stream);
    });
  }

  /** Ends it: what was written still leaves, and `LIMITS.grpcLingerMs` later all is gone. There are no words for why. */
  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#stream?.lose();
    this.#socket.end();
    this.#socket.resume();
    const linger = this.#clock.setTimer(LIMITS.grpcLingerMs, () => this.#socket.destroy());
    void this.closed.then(() => linger[Symbol.dispose]());
  }
}
