/** Somebody who ends QUIC, or TLS, on both sides with keys of its own and passes every pairing message on as it is. */
import { GatehouseError, silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { GrpcServer, SocketStream } from "../../src/grpc/index.ts";
import { PAIRING_ALPN, type PairingStream } from "../../src/pairing/index.ts";
import { formatAddress, type QuicConnection, QuicServer, type SocketAddress } from "../../src/quic/index.ts";
import { Newcomer } from "../support/pairing-dial.ts";

export type Wire = "quic" | "tcp";

export interface MiddleOptions {
  /** How joiners come to it. Default `quic`. */
  readonly near?: Wire;
  /** Over what it goes on to the gatehouse, there at `target`. Default `quic`. */
  readonly far?: Wire;
}

interface Listening extends AsyncDisposable {
  readonly addresses: readonly SocketAddress[];
}

export class Middle implements AsyncDisposable {
  /** What came through, by who sent it. */
  readonly heard: { readonly from: "joiner" | "gatehouse"; readonly bytes: Uint8Array }[] = [];
  readonly #own: Newcomer;
  readonly #target: SocketAddress;
  readonly #far: Wire;
  readonly #dialled: AsyncDisposable[] = [];
  #server: Listening | undefined;

  private constructor(own: Newcomer, target: SocketAddress, far: Wire) {
    this.#own = own;
    this.#target = target;
    this.#far = far;
  }

  static async open(
    target: SocketAddress,
    { near = "quic", far = "quic" }: MiddleOptions = {},
  ): Promise<Middle> {
    const middle = new Middle(await Newcomer.make(), target, far);
    middle.#server = await (near === "quic" ? middle.#overQuic() : middle.#overTcp());
    return middle;
  }

  get address(): string {
    const [address] = this.#server?.addresses ?? [];
    if (address === undefined) throw new Error("not listening");
    return formatAddress(address);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#dialled.map((connection) => connection[Symbol.asyncDispose]()));
    await this.#server?.[Symbol.asyncDispose]();
  }

  async #overQuic(): Promise<Listening> {
    const accept = (connection: QuicConnection): void =>
      connection.onStream((stream) => void this.#relay(stream));
    const server = await QuicServer.listen({
      ...{ ...this.#face, random: systemRandom, alpn: "gatehouse/1" },
      admit: () => ({ kind: "admitted", accept }),
    });
    server.openPairing(PAIRING_ALPN);
    return server;
  }

  async #overTcp(): Promise<Listening> {
    const server = await GrpcServer.listen<string>({
      ...this.#face,
      admit: () => ({ kind: "refused", error: new GatehouseError("quic.not-admitted", "not for calls") }),
      admitPairing: () => ({
        kind: "admitted",
        accept: (connection) => connection.onStream((stream) => void this.#relay(stream)),
      }),
      closing: (_cause, reason) => new GatehouseError("rpc.draining", reason),
    });
    server.openPairing(PAIRING_ALPN);
    return server;
  }

  get #face() {
    const identity = this.#own.tlsIdentity;
    return {
      ...{ listen: [{ host: "127.0.0.1", port: 0 }], identity, caPem: identity.certificatePem },
      ...{ clock: systemClock, logger: silentLogger },
    };
  }

  async #relay(near: PairingStream): Promise<void> {
    near.pause();
    const far = await this.#dial();
    this.#pass("joiner", near, far);
    this.#pass("gatehouse", far, near);
  }

  async #dial(): Promise<PairingStream> {
    if (this.#far === "quic") {
      const quic = await this.#own.connect(this.#target);
      this.#dialled.push(quic);
      return quic.connection.openStream();
    }
    const { socket } = await this.#own.connectTcp(this.#target);
    this.#dialled.push({ [Symbol.asyncDispose]: async () => void socket.destroy() });
    return new SocketStream(socket);
  }

  #pass(from: "joiner" | "gatehouse", source: PairingStream, sink: PairingStream): void {
    source.attach({
      data: (bytes, fin) => {
        if (bytes.length > 0) this.heard.push({ from, bytes: new Uint8Array(bytes) });
        sink.write(new Uint8Array(bytes), fin);
      },
      drain: () => undefined,
      closed: () => undefined,
    });
    source.resume();
  }
}
