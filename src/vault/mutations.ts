import type { RememberedReplies, Replay } from "./replies.ts";
import type { VaultStore } from "./store.ts";
import type { Change } from "./transaction.ts";

/** What rides along with a change, in its own journal record. */
export interface Mutation<Result> {
  /** The encoded audit event, or how to make it once the result is known. The vault does not look inside. */
  readonly audit: Uint8Array | ((result: Result) => Uint8Array);
  /** Present when the call may be repeated under the same request id. */
  readonly replay?: Replay<Result>;
}

/** Runs changes on the store together with their audit event and remembered reply. */
export class Mutations {
  readonly store: VaultStore;
  readonly replies: RememberedReplies;

  constructor(store: VaultStore, replies: RememberedReplies) {
    this.store = store;
    this.replies = replies;
  }

  /**
   * As `VaultStore.transact`.
   * @throws AlreadyAnswered when the request was answered before; GatehouseError `rpc.request-mismatch` when it was
   * another request under the same id.
   */
  async run<Result>(
    keys: readonly string[],
    mutation: Mutation<Result>,
    plan: () => { readonly changes: readonly Change[]; readonly result: Result },
  ): Promise<Result> {
    const { replay } = mutation;
    const all = replay === undefined ? keys : [...keys, this.replies.keyOf(replay)];
    using _slot = replay === undefined ? undefined : this.replies.reserve(replay.principal);
    return await this.store.transact(all, () => {
      if (replay !== undefined) this.replies.checkNew(replay);
      const { changes, result } = plan();
      const remembered = replay === undefined ? [] : this.replies.changesFor(replay, result);
      const { audit } = mutation;
      const events = [audit instanceof Uint8Array ? audit : audit(result)];
      return { changes: [...changes, ...remembered], events, result };
    });
  }
}
