/**
 * The vault's job on SQLite in a file, with the vault's own envelopes: the same sealing, the same record of a version, on
 * disk before it is acknowledged. WAL with `synchronous=FULL`, prepared statements, a page cache that holds everything.
 */
import { createSecretKey } from "node:crypto";
import { systemRandom } from "../../src/core/index.ts";
import {
  bindingOf,
  hashOf,
  type Kek,
  type Place,
  sealEnvelope,
  unwrapKey,
  valueOpener,
} from "../../src/vault/envelope.ts";
import type { Entry, SecretStore } from "./secret-store.ts";

export type SqlValue = string | number | Uint8Array;

/** The few things asked of either peer. */
export interface SqlDatabase {
  /** The first row, if there is one. */
  query(sql: string): unknown;
  prepare(sql: string): SqlStatement;
  close(): void;
}

export interface SqlStatement {
  run(values: readonly SqlValue[]): void;
  /** The first row by column, if there is one. */
  first(values: readonly SqlValue[]): unknown;
}

interface Row extends Place {
  readonly wrappedKey: Uint8Array;
  readonly sealedValue: Uint8Array;
}

const PRAGMAS = [
  // A log without shared memory, which WebAssembly has not; no other process asks.
  "PRAGMA locking_mode = EXCLUSIVE",
  "PRAGMA journal_mode = WAL",
  "PRAGMA synchronous = FULL",
  "PRAGMA cache_size = -262144",
];

const SCHEMA = `CREATE TABLE IF NOT EXISTS version (
  path TEXT NOT NULL,
  version INTEGER NOT NULL,
  createdAt INTEGER NOT NULL,
  contentType TEXT NOT NULL,
  previousHash BLOB NOT NULL,
  wrappedKey BLOB NOT NULL,
  sealedValue BLOB NOT NULL,
  PRIMARY KEY (path, version)
) WITHOUT ROWID`;

const LATEST = "SELECT * FROM version WHERE path = ? ORDER BY version DESC LIMIT 1";
const INSERT = "INSERT INTO version VALUES (?, ?, ?, ?, ?, ?, ?)";

const VAULT_ID = "00112233445566778899aabbccddeeff";
const CONTENT_TYPE = "application/octet-stream";

/** A key that a benchmark may know. */
const KEK: Kek = { term: 1, key: createSecretKey(Buffer.alloc(32, 7)) };

export class SqliteSecretStore implements SecretStore {
  readonly #database: SqlDatabase;
  readonly #latest: SqlStatement;
  readonly #insert: SqlStatement;

  /** Takes the database. @throws Error unless it can do what is asked of it. */
  constructor(database: SqlDatabase) {
    this.#database = database;
    for (const pragma of PRAGMAS) database.query(pragma);
    checkDurability(database);
    database.query(SCHEMA);
    this.#latest = database.prepare(LATEST);
    this.#insert = database.prepare(INSERT);
  }

  async put(path: string, value: Uint8Array): Promise<void> {
    this.#putNow(path, value);
  }

  async putTogether(entries: readonly Entry[]): Promise<void> {
    this.#database.query("BEGIN");
    for (const { path, value } of entries) this.#putNow(path, value);
    this.#database.query("COMMIT");
  }

  async get(path: string): Promise<Uint8Array> {
    const row = this.#newest(path);
    if (row === undefined) throw new Error(`there is no ${path}`);
    const binding = bindingOf(row);
    const dek = unwrapKey(KEK, binding, row.wrappedKey);
    const value = dek === undefined ? undefined : valueOpener(dek, binding, row.sealedValue)?.();
    if (value === undefined) throw new Error(`${path} does not open`);
    return value;
  }

  async checkpoint(): Promise<void> {
    this.#database.query("PRAGMA wal_checkpoint(TRUNCATE)");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#database.close();
  }

  /** Its own transaction, unless one is open. */
  #putNow(path: string, value: Uint8Array): void {
    const before = this.#newest(path);
    const previousHash = before === undefined ? new Uint8Array() : hashOf(before.sealedValue);
    const version = (before?.version ?? 0) + 1;
    const place = { vaultId: VAULT_ID, path, version, createdAt: Date.now(), contentType: CONTENT_TYPE };
    const binding = bindingOf({ ...place, previousHash });
    const { wrappedKey, sealedValue } = sealEnvelope({ binding, value, kek: KEK, random: systemRandom });
    const { createdAt } = place;
    this.#insert.run([path, version, createdAt, CONTENT_TYPE, previousHash, wrappedKey, sealedValue]);
  }

  #newest(path: string): Row | undefined {
    const row = this.#latest.first([path]);
    return row === undefined || row === null ? undefined : rowOf(row);
  }
}

function checkDurability(database: SqlDatabase): void {
  const facts = ["journal_mode", "synchronous"].map((pragma) =>
    firstColumn(database.query(`PRAGMA ${pragma}`)),
  );
  if (facts.join(" ") !== "wal 2") throw new Error(`not as durable as a peer must be: ${facts.join(" ")}`);
}

function firstColumn(row: unknown): string {
  return typeof row === "object" && row !== null ? String(Object.values(row)[0]) : "nothing";
}

function rowOf(row: unknown): Row {
  const { path, version, createdAt, contentType, ...blobs } = row as Record<string, unknown>;
  const { previousHash, wrappedKey, sealedValue } = blobs;
  if (
    typeof path === "string" &&
    typeof version === "number" &&
    typeof createdAt === "number" &&
    typeof contentType === "string" &&
    previousHash instanceof Uint8Array &&
    wrappedKey instanceof Uint8Array &&
    sealedValue instanceof Uint8Array
  ) {
    return {
      vaultId: VAULT_ID,
      path,
      version,
      createdAt,
      contentType,
      previousHash,
      wrappedKey,
      sealedValue,
    };
  }
  throw new TypeError("a row of another shape");
}
