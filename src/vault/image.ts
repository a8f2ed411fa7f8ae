import initSqlJs, { type Database, type SqlJsStatic, type SqlValue, type Statement } from "sql.js";
import { invariant } from "../core/index.ts";
import type { ListRange, StoredRecord } from "./store.ts";
import type { Space, Transaction } from "./transaction.ts";

const SCHEMA = `CREATE TABLE record (
  space TEXT NOT NULL,
  key TEXT NOT NULL,
  revision INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (space, key)
)`;

/** The same for every image, or two replays of one journal would not give the same bytes. */
const PRAGMAS = [
  "PRAGMA journal_mode = MEMORY",
  "PRAGMA synchronous = OFF",
  // Nobody else can open it: without this every statement asks the file system for another's lock and journal.
  "PRAGMA locking_mode = EXCLUSIVE",
  // What was deleted is not carried on in free pages.
  "PRAGMA secure_delete = ON",
];

const SQL = {
  put: `INSERT INTO record (space, key, revision, body) VALUES (?, ?, ?, ?)
    ON CONFLICT (space, key) DO UPDATE SET revision = excluded.revision, body = excluded.body`,
  delete: "DELETE FROM record WHERE space = ? AND key = ?",
  get: "SELECT revision, body FROM record WHERE space = ? AND key = ?",
  list: `SELECT key, revision, body FROM record
    WHERE space = ? AND key > ? AND key < ? ORDER BY key LIMIT ?`,
  size: "SELECT coalesce(sum(length(body)), 0) FROM record WHERE space = ?",
} as const;

let engine: Promise<SqlJsStatic> | undefined;

/** The records in memory: SQLite as WebAssembly. Synchronous; knows nothing of files and keys. */
export class Image implements Disposable {
  readonly #database: Database;
  readonly #statements: Readonly<Record<keyof typeof SQL, Statement>>;

  private constructor(database: Database) {
    this.#database = database;
    this.#statements = {
      put: database.prepare(SQL.put),
      delete: database.prepare(SQL.delete),
      get: database.prepare(SQL.get),
      list: database.prepare(SQL.list),
      size: database.prepare(SQL.size),
    };
  }

  /** Opens what `toBytes` gave, or an empty image. Takes `bytes`. */
  static async open(bytes?: Uint8Array): Promise<Image> {
    engine ??= initSqlJs();
    const { Database } = await engine;
    const database = new Database(bytes);
    for (const pragma of PRAGMAS) database.run(pragma);
    if (bytes === undefined) database.run(SCHEMA);
    return new Image(database);
  }

  /** All of the transactions or none. */
  apply(transactions: readonly Transaction[]): void {
    this.#database.run("BEGIN");
    try {
      for (const transaction of transactions) this.#applyOne(transaction);
      this.#database.run("COMMIT");
    } catch (cause) {
      this.#database.run("ROLLBACK");
      // sql.js throws bare strings too.
      throw new Error("broken invariant: a journalled statement failed", { cause });
    }
  }

  get(space: Space, key: string): StoredRecord | undefined {
    const { get } = this.#statements;
    try {
      get.bind([space, key]);
      if (!get.step()) return undefined;
      const [revision, body] = get.get();
      return toRecord(key, revision, body);
    } finally {
      get.reset();
    }
  }

  /** In order of key. */
  list(space: Space, { after, before, limit }: ListRange): readonly StoredRecord[] {
    const { list } = this.#statements;
    const records: StoredRecord[] = [];
    try {
      list.bind([space, after, before, limit]);
      while (list.step()) {
        const [key, revision, body] = list.get();
        records.push(toRecord(key, revision, body));
      }
      return records;
    } finally {
      list.reset();
    }
  }

  /** Bytes of all bodies in `space`. */
  sizeOf(space: Space): number {
    const { size } = this.#statements;
    try {
      size.bind([space]);
      size.step();
      const [bytes] = size.get();
      invariant(typeof bytes === "number", "a sum is a number");
      return bytes;
    } finally {
      size.reset();
    }
  }

  /** The database file. The last thing asked of an image: sql.js frees every statement on the way. */
  toBytes(): Uint8Array {
    return this.#database.export();
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #applyOne({ sequence, changes }: Transaction): void {
    for (const change of changes) {
      if (change.kind === "put") {
        this.#statements.put.run([change.space, change.key, sequence, change.body]);
      } else {
        this.#statements.delete.run([change.space, change.key]);
      }
    }
  }
}

function toRecord(
  key: SqlValue | undefined,
  revision: SqlValue | undefined,
  body: SqlValue | undefined,
): StoredRecord {
  invariant(
    typeof key === "string" && typeof revision === "number" && body instanceof Uint8Array,
    "a record has a key, a revision and a body",
  );
  return { key, revision, body };
}
