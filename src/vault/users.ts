import { GatehouseError, LIMITS } from "../core/index.ts";
import { gatehouse } from "../gen/index.ts";
import { DEVICES_LOCK, type Devices } from "./devices.ts";
import type { Mutation, Mutations } from "./mutations.ts";
import { pages } from "./pages.ts";
import type { Change, Transaction } from "./transaction.ts";

const { StoredUser } = gatehouse.v1;

/** A person, to whom devices may belong. */
export interface UserRow {
  readonly name: string;
  /** In alphabetical order. */
  readonly roles: readonly string[];
  /** Unix ms. */
  readonly addedAt: number;
}

/** Users come and go under the devices' lock: whose a device is is always somebody who is there. */
const LOCK = [DEVICES_LOCK];

/** The users a gatehouse knows; held in memory, like its devices. */
export class Users {
  readonly #mutations: Mutations;
  readonly #devices: Devices;
  readonly #rows = new Map<string, UserRow>();
  readonly #listeners = new Set<(name: string) => void>();

  constructor(mutations: Mutations, devices: Devices) {
    this.#mutations = mutations;
    this.#devices = devices;
    for (const { key, body } of pages(mutations.store, "user")) this.#rows.set(key, decodeUser(key, body));
    mutations.store.subscribe((transaction) => this.#follow(transaction));
  }

  get(name: string): UserRow | undefined {
    return this.#rows.get(name);
  }

  /** In order of name. */
  list(): readonly UserRow[] {
    return [...this.#rows.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Called after each durable change, with the name of who came, changed or went. */
  subscribe(listener: (name: string) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** @throws GatehouseError `user.exists`, `vault.full`. */
  async add(user: UserRow, mutation: Mutation<UserRow>): Promise<UserRow> {
    return await this.#mutations.run(LOCK, mutation, () => {
      if (this.#rows.has(user.name)) {
        throw new GatehouseError("user.exists", `there is a user ${user.name} already`, {
          hint: "see who there is: gatehouse user ls",
        });
      }
      if (this.#rows.size >= LIMITS.users)
        throw new GatehouseError("vault.full", `there are ${LIMITS.users} users already`);
      return stored({ ...user, roles: [...new Set(user.roles)].sort() });
    });
  }

  /** Its devices belong to nobody then. @throws GatehouseError `user.not-found`. */
  async remove(name: string, mutation: Mutation<UserRow>): Promise<UserRow> {
    return await this.#mutations.run(LOCK, mutation, () => {
      const row = this.known(name);
      const gone: Change = { kind: "delete", space: "user", key: name };
      return { changes: [gone, ...this.#devices.withoutUser(name)], result: row };
    });
  }

  /** @throws GatehouseError `user.not-found`, `usage.bad-argument` for one too many. */
  async grant(name: string, role: string, mutation: Mutation<UserRow>): Promise<UserRow> {
    return await this.#mutations.run(LOCK, mutation, () => {
      const row = this.known(name);
      if (row.roles.includes(role)) return { changes: [], result: row };
      if (row.roles.length >= LIMITS.rolesPerDevice)
        throw new GatehouseError("usage.bad-argument", `a user has at most ${LIMITS.rolesPerDevice} roles`);
      return stored({ ...row, roles: [...row.roles, role].sort() });
    });
  }

  /** @throws GatehouseError `user.not-found`. */
  async ungrant(name: string, role: string, mutation: Mutation<UserRow>): Promise<UserRow> {
    return await this.#mutations.run(LOCK, mutation, () => {
      const row = this.known(name);
      if (!row.roles.includes(role)) return { changes: [], result: row };
      const { changes, result } = stored({ ...row, roles: row.roles.filter((own) => own !== role) });
      return { changes: [...changes, this.#devices.epochChange()], result };
    });
  }

  /** @throws GatehouseError `user.not-found`. */
  known(name: string): UserRow {
    const row = this.#rows.get(name);
    if (row !== undefined) return row;
    throw new GatehouseError("user.not-found", "no such user", {
      hint: "see who there is: gatehouse user ls; add somebody: gatehouse user add NAME",
    });
  }

  #follow({ changes }: Transaction): void {
    for (const change of changes) {
      if (change.space !== "user") continue;
      if (change.kind === "delete") this.#rows.delete(change.key);
      else this.#rows.set(change.key, decodeUser(change.key, change.body));
      for (const listener of this.#listeners) listener(change.key);
    }
  }
}

function stored(row: UserRow): { readonly changes: readonly Change[]; readonly result: UserRow } {
  const body = StoredUser.encode({ roles: [...row.roles], addedAt: row.addedAt }).finish();
  return { changes: [{ kind: "put", space: "user", key: row.name, body }], result: row };
}

function decodeUser(name: string, body: Uint8Array): UserRow {
  const { roles, addedAt } = StoredUser.decode(body);
  return { name, roles: [...roles], addedAt };
}
