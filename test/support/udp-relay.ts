/** A UDP relay on 127.0.0.1 that keeps what clients send through it. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";

const KEPT_MAX = 64;

export class UdpRelay implements AsyncDisposable {
  readonly #front: Socket;
  readonly #targetPort: number;
  /** One socket towards the daemon for each client address. */
  readonly #backs = new Map<string, Socket>();
  readonly #captured: Buffer[] = [];

  private constructor(front: Socket, targetPort: number) {
    this.#front = front;
    this.#targetPort = targetPort;
    front.on("message", (datagram, from) => this.#forward(datagram, from));
  }

  static async open(targetPort: number): Promise<UdpRelay> {
    const front = createSocket("udp4");
    front.bind(0, "127.0.0.1");
    await once(front, "listening");
    return new UdpRelay(front, targetPort);
  }

  get port(): number {
    return this.#front.address().port;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** The first datagrams that clients sent, in order. */
  get captured(): readonly Buffer[] {
    return this.#captured;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of [this.#front, ...this.#backs.values()]) socket.close();
  }

  #forward(datagram: Buffer, from: RemoteInfo): void {
    if (this.#captured.length < KEPT_MAX) this.#captured.push(Buffer.from(datagram));
    this.#backTo(from).send(datagram, this.#targetPort, "127.0.0.1");
  }

  #backTo(from: RemoteInfo): Socket {
    const key = `${from.address}:${from.port}`;
    const known = this.#backs.get(key);
    if (known !== undefined) return known;
    const back = createSocket("udp4");
    back.on("message", (datagram) => this.#front.send(datagram, from.port, from.address));
    this.#backs.set(key, back);
    return back;
  }
}
