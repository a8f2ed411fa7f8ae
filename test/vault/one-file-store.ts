/**
 * A second engine, as small as one can be and keep every promise of `VaultStore`: all records in one JSON file that each
 * transaction writes anew. It is here to show what the port asks of an engine, and that nothing above it asks for more.
 *
 * The file: SHA-256 of the rest in hex, a line feed, then the JSON. It is not sealed.
 */
import { join } from "node:path";
import {
  copyOf,
  fromUtf8,
  GatehouseError,
  hex,
  isGatehouseError,
  LIMITS,
  utf8,
} from "../../src/core/index.ts";
import { sha256 } from "../../src/crypto/index.ts";
import {
  type AuditSink,
  type Change,
  type ListRange,
  type Plan,
  recordBytes,
  type Space,
  type StoredRecord,
  type StoreListener,
  type Transaction,
  type VaultFiles,
  type VaultState,
  type VaultStore,
} from "../../src/vault/index.ts";

interface Contents {
  readonly sequence: number;
  /** `space key` → revision, body in base64. */
  readonly records: Readonly<Record<string, readonly [number, string]>>;
  /** What the audit log may not have yet. */
  readonly events: readonly { readonly sequence: number; readonly events: readonly string[] }[];
}

const EVERY_KEY = { after: "", before: "\x7f" };
const EMPTY: Contents = { sequence: 0, records: {}, events: [] };
const KEY = /^[\x21-\x7e]{1,1024}$/;

export class OneFileStore implements VaultStore {
  readonly #path: string;
  readonly #files: VaultFiles;
  readonly #audit: AuditSink;
  readonly #listeners = new Set<StoreListener>();
  #contents: Contents;
  #state: VaultState = { kind: "serving" };
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #isClosing = false;

  private constructor(
    path: string,
    parts: { readonly files: VaultFiles; readonly audit: AuditSink; readonly contents: Contents },
  ) {
    this.#path = path;
    this.#files = parts.files;
    this.#audit = parts.audit;
    this.#contents = parts.contents;
  }

  static async open(
    dir: string,
    { files, audit }: { readonly files: VaultFiles; readonly audit: AuditSink },
  ): Promise<OneFileStore> {
    const path = join(dir, "records");
    const contents = (await readContents(files, path)) ?? EMPTY;
    for (const { sequence, events } of contents.events) {
      if (sequence > audit.lastJournalSequence) await audit.committed(sequence, events.map(fromBase64));
    }
    return new OneFileStore(path, { files, audit, contents });
  }

  get state(): VaultState {
    return this.#state;
  }

  get sequence(): number {
    return this.#contents.sequence;
  }

  get(space: Space, key: string): StoredRecord | undefined {
    const found = this.#contents.records[`${space} ${key}`];
    return found && { key, revision: found[0], body: fromBase64(found[1]) };
  }

  list(space: Space, { after, before, limit }: ListRange): readonly StoredRecord[] {
    return this.#keys(space)
      .filter((key) => key > after && key < before)
      .sort((a, b) => (a < b ? -1 : 1))
      .slice(0, limit)
      .flatMap((key) => this.get(space, key) ?? []);
  }

  sizeOf(space: Space, { after, before } = EVERY_KEY): number {
    return this.list(space, { after, before, limit: Number.MAX_SAFE_INTEGER }).reduce(
      (sum, { key, body }) => sum + recordBytes({ space, key, body }),
      0,
    );
  }

  async putIfVersion(space: Space, key: string, body: Uint8Array, ifRevision: number): Promise<number> {
    return await this.transact([`${space} ${key}`], () => {
      const revision = this.get(space, key)?.revision ?? 0;
      if (revision !== ifRevision) throw new GatehouseError("vault.version-conflict", "another revision");
      const changes: readonly Change[] = [{ kind: "put", space, key, body }];
      return { changes, events: [], result: this.sequence + 1 };
    });
  }

  async transact<Result>(_keys: readonly string[], plan: () => Plan<Result>): Promise<Result> {
    return await this.#inTurn(async () => {
      if (this.#state.kind === "read-only") throw readOnly(this.#state.reason);
      const { changes, events, result } = plan();
      for (const { key } of changes) if (!KEY.test(key)) throw new RangeError("store: malformed key");
      const transaction = { sequence: this.sequence + 1, changes, events };
      await this.#replace(after(this.#contents, transaction));
      for (const listener of this.#listeners) listener(transaction);
      if (events.length > 0) await this.#handOver(transaction);
      return result;
    });
  }

  async checkpoint(): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#state.kind === "read-only") throw readOnly(this.#state.reason);
      try {
        await this.#audit.sync();
        await this.#replace({ ...this.#contents, events: [] });
      } catch (cause) {
        throw new GatehouseError("vault.checkpoint-failed", "the file could not be written anew", { cause });
      }
    });
  }

  subscribe(listener: StoreListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    await this.#turn;
  }

  #keys(space: Space): readonly string[] {
    const prefix = `${space} `;
    return Object.keys(this.#contents.records)
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length));
  }

  /** One mutation at a time: more than any two that name a common key could ask for. */
  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#isClosing) throw new GatehouseError("rpc.draining", "the store is closing");
    if (this.#waiting >= LIMITS.vaultPendingMutations) {
      throw new GatehouseError("rpc.overloaded", "too many changes are waiting");
    }
    this.#waiting += 1;
    const result = this.#turn.then(work).finally(() => {
      this.#waiting -= 1;
    });
    this.#turn = result.catch(() => undefined);
    return await result;
  }

  async #replace(next: Contents): Promise<void> {
    try {
      await this.#files.replace(this.#path, encode(next));
    } catch (cause) {
      throw await this.#refusal(cause);
    }
    this.#contents = next;
  }

  /** What a failed write leaves is known only by reading, and of what can be read nothing says that it will stay. */
  async #refusal(cause: unknown): Promise<GatehouseError> {
    const reason = "the disk failed to take a write";
    this.#state = { kind: "read-only", reason };
    const found = await readContents(this.#files, this.#path).catch(() => undefined);
    if ((found ?? EMPTY).sequence === this.sequence) return readOnly(reason);
    return outcomeUnknown(cause);
  }

  async #handOver({ sequence, events }: Transaction): Promise<void> {
    try {
      await this.#audit.committed(sequence, events);
    } catch (cause) {
      this.#state = { kind: "read-only", reason: "the audit log cannot be written" };
      throw outcomeUnknown(cause);
    }
  }
}

function after({ records, events }: Contents, { sequence, ...transaction }: Transaction): Contents {
  const next = { ...records };
  for (const change of transaction.changes) {
    const name = `${change.space} ${change.key}`;
    if (change.kind === "put") next[name] = [sequence, toBase64(change.body)];
    else delete next[name];
  }
  const kept = { sequence, events: transaction.events.map(toBase64) };
  return { sequence, records: next, events: transaction.events.length === 0 ? events : [...events, kept] };
}

function encode(contents: Contents): Uint8Array {
  const json = utf8(JSON.stringify(contents));
  return Buffer.concat([utf8(`${hex(sha256(json))}\n`), json]);
}

async function readContents(files: VaultFiles, path: string): Promise<Contents | undefined> {
  let file: Uint8Array;
  try {
    file = await files.read(path);
  } catch (failure) {
    if (isGatehouseError(failure, "file.not-found")) return undefined;
    throw failure;
  }
  const json = file.subarray(65);
  if (Buffer.compare(file.subarray(0, 65), utf8(`${hex(sha256(json))}\n`)) !== 0) {
    throw new GatehouseError("vault.damaged", "records: its hash does not match");
  }
  return JSON.parse(fromUtf8(json)) as Contents;
}

function readOnly(reason: string): GatehouseError<"vault.read-only"> {
  return new GatehouseError("vault.read-only", reason);
}

function outcomeUnknown(cause: unknown): GatehouseError<"rpc.outcome-unknown"> {
  return new GatehouseError("rpc.outcome-unknown", "the change may or may not have been stored", { cause });
}

const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const fromBase64 = (text: string): Uint8Array => copyOf(Buffer.from(text, "base64"));
