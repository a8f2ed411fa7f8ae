/** A TCP relay on 127.0.0.1 without anything on that UDP port, which may cut its connections off. */
import { once } from "node:events";
import { createConnection, createServer, type Server, type Socket } from "node:net";

export interface TcpRelayOptions {
  /** The first so many connections … */
  readonly cuts?: number;
  /** … end in place of the server's chunk with this number, counted from 1. */
  readonly cutBefore?: number;
}

export class TcpRelay implements AsyncDisposable {
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #options: TcpRelayOptions;
  readonly #targetPort: number;

  private constructor(targetPort: number, options: TcpRelayOptions) {
    this.#targetPort = targetPort;
    this.#options = options;
    this.#server = createServer((near) => this.#relay(near));
  }

  static async open(targetPort: number, options: TcpRelayOptions = {}): Promise<TcpRelay> {
    const relay = new TcpRelay(targetPort, options);
    relay.#server.listen(0, "127.0.0.1");
    await once(relay.#server, "listening");
    return relay;
  }

  get port(): number {
    const bound = this.#server.address();
    if (bound === null || typeof bound === "string") throw new Error("not listening");
    return bound.port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #relay(near: Socket): void {
    const far = createConnection(this.#targetPort, "127.0.0.1");
    this.connections += 1;
    const isCut = this.connections <= (this.#options.cuts ?? 0);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.once("close", () => {
        this.#sockets.delete(socket);
        other.destroySoon();
      });
    }
    near.pipe(far);
    let count = 0;
    far.on("data", (chunk: Buffer) => {
      count += 1;
      if (isCut && count === this.#options.cutBefore) for (const socket of [near, far]) socket.destroy();
      else near.write(chunk);
    });
    far.once("end", () => near.end());
  }
}
