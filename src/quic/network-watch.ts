import type { Clock } from "../core/index.ts";
import type { Network } from "./network.ts";

/** Asking the kernel costs 50 µs; a second without a network is what people forgive a phone. */
const LOOK_MS = 1_000;

/** Tells when this machine's addresses have changed: another network, a cable pulled, a tunnel up. */
export class NetworkWatch implements Disposable {
  readonly #network: Network;
  readonly #clock: Clock;
  readonly #changed: () => void;
  #seen: string;
  #timer: Disposable | undefined;

  constructor(network: Network, clock: Clock, changed: () => void) {
    this.#network = network;
    this.#clock = clock;
    this.#changed = changed;
    this.#seen = this.#look();
    this.#arm();
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #arm(): void {
    this.#timer = this.#clock.setTimer(LOOK_MS, () => {
      const seen = this.#look();
      const hasChanged = seen !== this.#seen;
      this.#seen = seen;
      this.#arm();
      if (hasChanged) this.#changed();
    });
  }

  #look(): string {
    return [...this.#network.localAddresses(4), ...this.#network.localAddresses(6)].sort().join(" ");
  }
}
