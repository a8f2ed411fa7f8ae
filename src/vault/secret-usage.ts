import { GatehouseError } from "../core/index.ts";
import type { VaultStore } from "./store.ts";
import type { Change, Space } from "./transaction.ts";

/** Everything that more secrets make more of. */
const COUNTED: readonly Space[] = ["secret", "version", "value", "expiry"];

/** Bytes of the secrets' records, on disk and on their way there. */
export class SecretUsage {
  readonly #store: VaultStore;
  readonly #maxBytes: number;
  #usedBytes: number;

  constructor(store: VaultStore, maxBytes: number) {
    this.#store = store;
    this.#maxBytes = maxBytes;
    this.#usedBytes = COUNTED.reduce((sum, space) => sum + store.sizeOf(space), 0);
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /**
   * Counts changes from when they are planned, so that puts side by side cannot overfill together; what they free counts
   * once they are stored. `run` calls `plan` where the records that it reads cannot change before its own changes
   * are stored.
   * @throws GatehouseError `vault.full` by the tally, when `bound` is `limited` and the changes do not fit.
   */
  async counted<Result>(
    bound: "limited" | "unlimited",
    run: (tally: (changes: readonly Change[]) => void) => Promise<Result>,
  ): Promise<Result> {
    let addedBytes = 0;
    let freedBytes = 0;
    try {
      const result = await run((changes) => {
        const counted = changes.filter(({ space }) => COUNTED.includes(space));
        const bytes = bytesAdded(counted);
        if (bound === "limited") this.#checkFits(bytes);
        freedBytes = this.#bytesReplaced(counted);
        addedBytes = bytes;
        this.#usedBytes += bytes;
      });
      this.#usedBytes -= freedBytes;
      return result;
    } catch (failure) {
      this.#usedBytes -= addedBytes;
      throw failure;
    }
  }

  #checkFits(addedBytes: number): void {
    if (this.#usedBytes + addedBytes <= this.#maxBytes) return;
    throw new GatehouseError("vault.full", `the vault holds at most ${this.#maxBytes} bytes`, {
      hint: "destroy what is no longer needed, or raise the vault's limit",
    });
  }

  #bytesReplaced(changes: readonly Change[]): number {
    return changes.reduce((sum, { space, key }) => sum + (this.#store.get(space, key)?.body.length ?? 0), 0);
  }
}

function bytesAdded(changes: readonly Change[]): number {
  return changes.reduce((sum, change) => (change.kind === "put" ? sum + change.body.length : sum), 0);
}
