/** A UDP relay on 127.0.0.1 that keeps what clients send through it, and can go dead in the middle. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";

const KEPT_MAX = 64;

/** After `count` datagrams of that direction nothing passes any more, in either. */
export interface LinkCut {
  readonly direction: "to-server" | "to-client";
  readonly count: number;
}

export class UdpRelay implements AsyncDisposable {
  /** While it is set nothing passes, as where a firewall drops UDP. */
  isBlocked = false;
  readonly #front: Socket;
  readonly #targetPort: number;
  /** One socket towards the daemon for each client address. */
  readonly #backs = new Map<string, Socket>();
  readonly #captured: Buffer[] = [];
  readonly #cut: LinkCut | undefined;
  readonly #passed = { "to-server": 0, "to-client": 0 };
  /** Directions in which nothing passes, for as long as the test wants. */
  readonly blocked = new Set<LinkCut["direction"]>();

  private constructor(front: Socket, targetPort: number, cut: LinkCut | undefined) {
    this.#front = front;
    this.#targetPort = targetPort;
    this.#cut = cut;
    front.on("message", (datagram, from) => this.#forward(datagram, from));
  }

  static async open(targetPort: number, cut?: LinkCut): Promise<UdpRelay> {
    const front = createSocket("udp4");
    front.bind(0, "127.0.0.1");
    await once(front, "listening");
    return new UdpRelay(front, targetPort, cut);
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

  get isCut(): boolean {
    return this.#cut !== undefined && this.#passed[this.#cut.direction] >= this.#cut.count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of [this.#front, ...this.#backs.values()]) socket.close();
  }

  #forward(datagram: Buffer, from: RemoteInfo): void {
    if (this.#captured.length < KEPT_MAX) this.#captured.push(Buffer.from(datagram));
    const back = this.#backTo(from);
    if (this.#passes("to-server")) back.send(datagram, this.#targetPort, "127.0.0.1");
  }

  #backTo(from: RemoteInfo): Socket {
    const key = `${from.address}:${from.port}`;
    const known = this.#backs.get(key);
    if (known !== undefined) return known;
    const back = createSocket("udp4");
    back.on("message", (datagram) => {
      if (this.#passes("to-client")) this.#front.send(datagram, from.port, from.address);
    });
    this.#backs.set(key, back);
    return back;
  }

  #passes(direction: LinkCut["direction"]): boolean {
    if (this.isCut || this.isBlocked || this.blocked.has(direction)) return false;
    this.#passed[direction] += 1;
    return true;
  }
}
