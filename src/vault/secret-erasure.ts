import { GatehouseError, isGatehouseError } from "../core/index.ts";
import type { VaultStore } from "./store.ts";
import type { Change } from "./transaction.ts";

const KEY = "pending";
const MARK = Uint8Array.of(1);

/**
 * What was destroyed leaves the vault's files too: older snapshots and journal segments, which still hold it, are
 * replaced. A mark, stored with each destruction and taken away after the checkpoint that followed it, makes sure
 * that neither a crash nor a failure lets that be forgotten.
 */
export class SecretErasure {
  readonly #store: VaultStore;

  constructor(store: VaultStore) {
    this.#store = store;
  }

  /** What a mutation that destroys waits for, or a mark could go that it relies on. */
  readonly lock = "erasure";

  /** Goes with every mutation that destroys. */
  readonly mark: Change = { kind: "put", space: "erasure", key: KEY, body: MARK };

  /** Some file may still hold what was destroyed. */
  get isPending(): boolean {
    return this.#store.get("erasure", KEY) !== undefined;
  }

  /**
   * Settles when no file of the vault holds anything that was destroyed before the call.
   * @throws GatehouseError `vault.not-erased` when the checkpoint failed.
   */
  async complete(): Promise<void> {
    const marked = this.#store.get("erasure", KEY)?.revision;
    if (marked === undefined) return;
    try {
      await this.#store.checkpoint();
    } catch (cause) {
      throw notErased(cause);
    }
    await this.#unmark(marked);
  }

  async #unmark(marked: number): Promise<void> {
    try {
      await this.#store.transact([this.lock], () => {
        const isStillIt = this.#store.get("erasure", KEY)?.revision === marked;
        const changes: readonly Change[] = isStillIt ? [{ kind: "delete", space: "erasure", key: KEY }] : [];
        return { changes, events: [], result: undefined };
      });
    } catch (failure) {
      // What it stood for is done; a mark that stays costs one more checkpoint.
      if (!isGatehouseError(failure)) throw failure;
    }
  }
}

function notErased(cause: unknown): GatehouseError<"vault.not-erased"> {
  return new GatehouseError(
    "vault.not-erased",
    "it is destroyed, but older files of the vault hold its sealed bytes until the next checkpoint",
    { hint: "destroy it again to have them go now", cause },
  );
}
