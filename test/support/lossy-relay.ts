/** A UDP relay on 127.0.0.1 that loses datagrams at random, each way, and forgets clients that have gone quiet. */
import { createSocket, type Socket } from "node:dgram";
import type { SeededRandom } from "./seeded-random.ts";

/** Longer than any idle timeout of those who use it. */
const FORGET_MS = 40_000;
const SWEEP_MS = 5_000;

export interface LossyRelayOptions {
  readonly targetPort: number;
  /** Share of the datagrams lost, in each direction. */
  readonly loss: number;
  readonly random: SeededRandom;
}

interface Client {
  /** Towards the target, for this client alone. */
  readonly back: Socket;
  lastMs: number;
}

export class LossyRelay implements AsyncDisposable {
  readonly counts = { passed: 0, lost: 0 };
  readonly #front: Socket;
  readonly #options: LossyRelayOptions;
  readonly #clients = new Map<string, Client>();
  readonly #sweep: NodeJS.Timeout;

  private constructor(front: Socket, options: LossyRelayOptions) {
    this.#front = front;
    this.#options = options;
    front.on("message", (datagram, { address, port }) => {
      if (!this.#isLost()) this.#client(address, port).send(datagram, options.targetPort, "127.0.0.1");
    });
    this.#sweep = setInterval(() => this.#forgetQuiet(), SWEEP_MS);
  }

  static async open(options: LossyRelayOptions): Promise<LossyRelay> {
    const front = await bound();
    return new LossyRelay(front, options);
  }

  get address(): string {
    return `127.0.0.1:${this.#front.address().port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sweep);
    const sockets = [this.#front, ...[...this.#clients.values()].map(({ back }) => back)];
    this.#clients.clear();
    await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
  }

  #client(address: string, port: number): Socket {
    const key = `${address}:${port}`;
    const known = this.#clients.get(key);
    if (known !== undefined) {
      known.lastMs = performance.now();
      return known.back;
    }
    const back = createSocket("udp4");
    back.on("error", () => undefined);
    back.on("message", (datagram) => {
      if (!this.#isLost() && this.#clients.has(key)) this.#front.send(datagram, port, address);
    });
    this.#clients.set(key, { back, lastMs: performance.now() });
    return back;
  }

  #isLost(): boolean {
    const isLost = this.#options.random.next() < this.#options.loss;
    this.counts[isLost ? "lost" : "passed"] += 1;
    return isLost;
  }

  #forgetQuiet(): void {
    for (const [key, { back, lastMs }] of this.#clients) {
      if (performance.now() - lastMs < FORGET_MS) continue;
      this.#clients.delete(key);
      back.close();
    }
  }
}

async function bound(): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.on("error", () => undefined);
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return socket;
}
