import { copyOf, LIMITS } from "../core/index.ts";
import type { Mutation, Mutations } from "./mutations.ts";
import { LAST_KEY, pages } from "./pages.ts";
import type { Change } from "./transaction.ts";

export interface Setting {
  readonly key: string;
  readonly value: Uint8Array;
}

/**
 * Small durable values for other rooms, by key: printable ASCII, at most 256 characters, such as `pairing/burnt`.
 * Values are at most `LIMITS.vaultSettingBytes`. Changes with a mutation are audited, those without are not.
 */
export class Settings {
  readonly #mutations: Mutations;

  constructor(mutations: Mutations) {
    this.#mutations = mutations;
  }

  get(key: string): Uint8Array | undefined {
    return this.#mutations.store.get("setting", checkedKey(key))?.body;
  }

  /** In order of key, those that begin with `prefix`. */
  list(prefix: string): readonly Setting[] {
    const range = prefix === "" ? undefined : { after: prefix.slice(0, -1), before: `${prefix}${LAST_KEY}` };
    return [...pages(this.#mutations.store, "setting", range)]
      .filter(({ key }) => key.startsWith(prefix))
      .map(({ key, body }) => ({ key, value: body }));
  }

  /** On disk when it settles. @throws GatehouseError as `VaultStore.transact`. */
  async set(key: string, value: Uint8Array, mutation?: Mutation<void>): Promise<void> {
    await this.#change(key, () => value, mutation);
  }

  async remove(key: string, mutation?: Mutation<void>): Promise<void> {
    await this.#change(key, () => undefined, mutation);
  }

  /**
   * Reads and writes with nobody between: for counters. `change` gets the value on disk and answers the new one,
   * `undefined` to remove it. Answers what is on disk then.
   */
  async update(
    key: string,
    change: (value: Uint8Array | undefined) => Uint8Array | undefined,
    mutation?: Mutation<void>,
  ): Promise<Uint8Array | undefined> {
    return await this.#change(key, change, mutation);
  }

  async #change(
    key: string,
    change: (value: Uint8Array | undefined) => Uint8Array | undefined,
    mutation: Mutation<void> | undefined,
  ): Promise<Uint8Array | undefined> {
    const lock = [`setting ${checkedKey(key)}`];
    let next: Uint8Array | undefined;
    const changes = (): readonly Change[] => {
      next = change(this.get(key));
      return [changeTo(key, next)];
    };
    if (mutation === undefined) {
      const plan = () => ({ changes: changes(), events: [], result: undefined });
      await this.#mutations.store.transact(lock, plan);
    } else {
      await this.#mutations.run(lock, mutation, () => ({ changes: changes(), result: undefined }));
    }
    return next;
  }
}

function changeTo(key: string, value: Uint8Array | undefined): Change {
  if (value === undefined) return { kind: "delete", space: "setting", key };
  if (value.length > LIMITS.vaultSettingBytes) throw new RangeError(`setting: ${value.length} bytes`);
  return { kind: "put", space: "setting", key, body: copyOf(value) };
}

function checkedKey(key: string): string {
  if (!/^[\x21-\x7e]{1,256}$/.test(key)) throw new RangeError("setting: malformed key");
  return key;
}
