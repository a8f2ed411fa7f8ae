import { LIMITS } from "../core/index.ts";
import type { Mutation, Mutations } from "./mutations.ts";
import { LAST_KEY, pages } from "./pages.ts";
import type { Replay } from "./replies.ts";
import type { Change, Space } from "./transaction.ts";

export interface ShelfRecord {
  readonly key: string;
  readonly body: Uint8Array;
}

/** What a change puts under each key; `undefined` takes it away. */
export interface ShelfPlan<Result> {
  readonly changes: readonly { readonly key: string; readonly body: Uint8Array | undefined }[];
  readonly result: Result;
}

/** Records of one space for another room, which knows what is in them. Keys are printable ASCII, at most 256 characters. */
export class Shelf {
  readonly #mutations: Mutations;
  readonly #space: Extract<Space, "policy" | "approval">;

  constructor(mutations: Mutations, space: Extract<Space, "policy" | "approval">) {
    this.#mutations = mutations;
    this.#space = space;
  }

  get(key: string): Uint8Array | undefined {
    return this.#mutations.store.get(this.#space, key)?.body;
  }

  /** In order of key, those that begin with `prefix`. */
  list(prefix: string): readonly ShelfRecord[] {
    const range = prefix === "" ? undefined : { after: prefix.slice(0, -1), before: `${prefix}${LAST_KEY}` };
    return [...pages(this.#mutations.store, this.#space, range)].filter(({ key }) => key.startsWith(prefix));
  }

  /** @throws AlreadyAnswered. @throws GatehouseError `rpc.request-mismatch`. */
  checkNew(replay: Omit<Replay<never>, "reply">): void {
    this.#mutations.replies.checkNew(replay);
  }

  /** Called after each durable change of a record. */
  subscribe(listener: (key: string) => void): Disposable {
    return this.#mutations.store.subscribe(({ changes }) => {
      for (const change of changes) if (change.space === this.#space) listener(change.key);
    });
  }

  /**
   * Makes the changes that `plan` answers, all or none, with nobody between who runs under one of `locks`; on disk when it
   * settles. `also`: changes of other spaces that belong to it.
   * @throws GatehouseError as `VaultStore.transact`, and what `plan` throws. @throws AlreadyAnswered as `Mutations.run`.
   */
  async transact<Result>(
    locks: readonly string[],
    mutation: Mutation<Result>,
    plan: () => ShelfPlan<Result>,
    also: () => readonly Change[] = () => [],
  ): Promise<Result> {
    return await this.#mutations.run(locks, mutation, () => {
      const { changes, result } = plan();
      return { changes: [...changes.map((change) => this.#toChange(change)), ...also()], result };
    });
  }

  #toChange({ key, body }: ShelfPlan<unknown>["changes"][number]): Change {
    if (!/^[\x21-\x7e]{1,256}$/.test(key)) throw new RangeError("shelf: malformed key");
    if (body === undefined) return { kind: "delete", space: this.#space, key };
    if (body.length > LIMITS.shelfRecordBytes) throw new RangeError(`shelf: ${body.length} bytes`);
    return { kind: "put", space: this.#space, key, body };
  }
}
