/** A UDP relay on 127.0.0.1 in a NAT's place: it forgets its bindings when told to, and neither end hears of it. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";

export class NatRelay implements AsyncDisposable {
  readonly #front: Socket;
  readonly #targetPort: number;
  readonly #bindings = new Map<string, Socket>();

  private constructor(front: Socket, targetPort: number) {
    this.#front = front;
    this.#targetPort = targetPort;
    front.on("message", (datagram, from) => {
      this.#bindingOf(from).send(datagram, this.#targetPort, "127.0.0.1");
    });
  }

  static async open(targetPort: number): Promise<NatRelay> {
    const front = createSocket("udp4");
    front.bind(0, "127.0.0.1");
    await once(front, "listening");
    return new NatRelay(front, targetPort);
  }

  get address(): string {
    return `127.0.0.1:${this.#front.address().port}`;
  }

  /** Everything that goes out from now on comes from another port; what is on its way to the old ones is lost. */
  rebind(): void {
    for (const binding of this.#bindings.values()) binding.close();
    this.#bindings.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.rebind();
    return new Promise((resolve) => this.#front.close(() => resolve()));
  }

  #bindingOf(client: RemoteInfo): Socket {
    const key = `${client.address}:${client.port}`;
    const known = this.#bindings.get(key);
    if (known !== undefined) return known;
    const binding = createSocket("udp4");
    binding.on("message", (datagram) => this.#front.send(datagram, client.port, client.address));
    this.#bindings.set(key, binding);
    return binding;
  }
}
