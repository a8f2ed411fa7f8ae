import type { Change, Space, Transaction } from "./transaction.ts";

/** One record; `body` is the caller's own. */
export interface StoredRecord {
  readonly key: string;
  /** Sequence of the transaction that wrote it. */
  readonly revision: number;
  readonly body: Uint8Array;
}

export interface ListRange {
  /** Keys above this one. */
  readonly after: string;
  /** Keys below this one. */
  readonly before: string;
  readonly limit: number;
}

/** Beside key and body, of each record in the engine's tree and index: row headers, cell pointers, half-empty pages. */
export const RECORD_OVERHEAD_BYTES = 96;

/** What a record costs: its body, its name twice (the index has it too), and what goes with it. */
export function recordBytes({
  space,
  key,
  body,
}: {
  readonly space: Space;
  readonly key: string;
  readonly body: Uint8Array;
}): number {
  return body.length + 2 * (space.length + key.length) + RECORD_OVERHEAD_BYTES;
}

/** Whether the vault takes changes. */
export type VaultState =
  | { readonly kind: "serving" }
  /** Reads go on; changes are refused with `vault.read-only`. `reason` is a sentence that may cross the wire. */
  | { readonly kind: "read-only"; readonly reason: string };

/** What a mutation wants to happen, all of it or nothing, and what to answer once it is on disk. */
export interface Plan<Result> {
  readonly changes: readonly Change[];
  readonly events: readonly Uint8Array[];
  readonly result: Result;
}

export type StoreListener = (transaction: Transaction) => void;

/**
 * The seam between the vault and what keeps its records. Reads are synchronous, from the engine's own durable image:
 * they never show what is not on disk yet. Spaces and keys are printable ASCII, ordered by byte.
 */
export interface VaultStore extends AsyncDisposable {
  readonly state: VaultState;
  /** Of the newest durable transaction; 0 when none. */
  readonly sequence: number;
  get(space: Space, key: string): StoredRecord | undefined;
  list(space: Space, range: ListRange): readonly StoredRecord[];
  /** What the records of `space` cost, as `recordBytes` counts each; those between two keys, neither included, with `range`. */
  sizeOf(space: Space, range?: Omit<ListRange, "limit">): number;
  /**
   * Puts one record if its revision is `ifRevision` (0: if there is none); answers the new revision.
   * @throws GatehouseError `vault.version-conflict`, and as `transact`.
   */
  putIfVersion(space: Space, key: string, body: Uint8Array, ifRevision: number): Promise<number>;
  /**
   * Runs `plan` when no other mutation that names one of `keys` is under way, so that what it reads stays true until
   * its changes are durable; what it throws is thrown on and nothing happens. Settles when the changes are on disk,
   * visible, and their events handed to the audit log.
   * @throws GatehouseError `vault.read-only` (nothing happened), `rpc.outcome-unknown`, `rpc.overloaded`,
   * `rpc.draining`.
   */
  transact<Result>(keys: readonly string[], plan: () => Plan<Result>): Promise<Result>;
  /**
   * Writes everything durable at the call anew and removes what held it before: when it settles, bytes of records
   * deleted before the call are in no file of the store. Calls side by side share the work.
   * @throws GatehouseError `vault.checkpoint-failed` (nothing is lost; older files remain), `vault.read-only`,
   * `rpc.draining`.
   */
  checkpoint(): Promise<void>;
  /** `listener` hears of each transaction right after it became visible, before its caller does. It must not throw. */
  subscribe(listener: StoreListener): Disposable;
}
