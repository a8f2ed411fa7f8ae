import type { Clock } from "../core/index.ts";
import type { Network } from "./network.ts";

/** Asking the kernel costs 50 µs; a second without a network is what people forgive a phone. */
const LOOK_MS = 1_000;
/** The first look can wait until the first calls are on their way. */
const FIRST_LOOK_MS = 100;

export interface NetworkWatchOptions {
  readonly network: Network;
  readonly clock: Clock;
  /** The address in use: if it is gone at the first look, that is a change, too. */
  readonly local: () => string;
  readonly changed: () => void;
}

/** Tells when this machine's addresses have changed: another network, a cable pulled, a tunnel up. */
export class NetworkWatch implements Disposable {
  readonly #options: NetworkWatchOptions;
  #seen: string | undefined;
  #timer: Disposable | undefined;

  constructor(options: NetworkWatchOptions) {
    this.#options = options;
    this.#arm(FIRST_LOOK_MS);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #arm(delayMs: number): void {
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      this.#arm(LOOK_MS);
      if (this.#hasChanged()) this.#options.changed();
    });
  }

  #hasChanged(): boolean {
    const { network, local } = this.#options;
    const present = [...network.localAddresses(4), ...network.localAddresses(6)].sort();
    const seen = present.join(" ");
    const hasChanged = this.#seen === undefined ? !present.includes(local()) : seen !== this.#seen;
    this.#seen = seen;
    return hasChanged;
  }
}
