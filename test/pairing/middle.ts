/** Somebody who ends QUIC on both sides with keys of its own and passes every pairing message on as it is. */
import { certificatePem } from "../../src/certs/index.ts";
import { silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { PAIRING_ALPN } from "../../src/pairing/index.ts";
import {
  formatAddress,
  type QuicConnection,
  QuicServer,
  type QuicStream,
  type SocketAddress,
} from "../../src/quic/index.ts";
import { Newcomer } from "../support/pairing-dial.ts";

export class Middle implements AsyncDisposable {
  /** What came through, by who sent it. */
  readonly heard: { readonly from: "joiner" | "gatehouse"; readonly bytes: Uint8Array }[] = [];
  readonly #server: QuicServer;
  readonly #own: Newcomer;
  readonly #target: SocketAddress;
  readonly #dialled: AsyncDisposable[] = [];

  private constructor(server: QuicServer, own: Newcomer, target: SocketAddress) {
    this.#server = server;
    this.#own = own;
    this.#target = target;
  }

  static async open(target: SocketAddress): Promise<Middle> {
    const own = await Newcomer.make();
    const certificate = certificatePem(own.certificate);
    let accept: (connection: QuicConnection) => void = () => undefined;
    const server = await QuicServer.listen({
      ...{ clock: systemClock, random: systemRandom, logger: silentLogger },
      ...{ listen: [{ host: "127.0.0.1", port: 0 }], alpn: "gatehouse/1", caPem: certificate },
      identity: { keyPem: own.identity.tls.privateKeyPem, certificatePem: certificate },
      admit: () => ({ kind: "admitted", accept: (connection) => accept(connection) }),
    });
    server.openPairing(PAIRING_ALPN);
    const middle = new Middle(server, own, target);
    accept = (connection) => connection.onStream((stream) => void middle.#relay(stream));
    return middle;
  }

  get address(): string {
    return formatAddress(this.#server.address);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#dialled.map((connection) => connection[Symbol.asyncDispose]()));
    await this.#server[Symbol.asyncDispose]();
  }

  async #relay(near: QuicStream): Promise<void> {
    const quic = await this.#own.connect(this.#target);
    this.#dialled.push(quic);
    const far = quic.connection.openStream();
    this.#pass("joiner", near, far);
    this.#pass("gatehouse", far, near);
  }

  #pass(from: "joiner" | "gatehouse", source: QuicStream, sink: QuicStream): void {
    source.attach({
      data: (bytes, fin) => {
        this.heard.push({ from, bytes: new Uint8Array(bytes) });
        sink.write(new Uint8Array(bytes), fin);
      },
      drain: () => undefined,
      closed: () => undefined,
    });
  }
}
