import initSqlJs, { type Database, type SqlJsStatic, type SqlValue, type Statement } from "sql.js";
import { GatehouseError, invariant } from "../core/index.ts";
import { LAST_KEY } from "./pages.ts";
import { type ListRange, RECORD_OVERHEAD_BYTES, type StoredRecord } from "./store.ts";
import type { Space, Transaction } from "./transaction.ts";

/** Column for column the same everywhere: SQLite then copies a table page by page. */
const schemaOf = (place: Place): string => `CREATE TABLE ${place}.record (
  space TEXT NOT NULL,
  key TEXT NOT NULL,
  revision INTEGER NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (space, key)
)`;

/** The same for every image, or two replays of one journal would not give the same bytes. */
const pragmasOf = (place: Place): readonly string[] => [
  `PRAGMA ${place}.journal_mode = MEMORY`,
  `PRAGMA ${place}.synchronous = OFF`,
  // Nobody else can open it: without this every statement asks the file system for another's lock and journal.
  `PRAGMA ${place}.locking_mode = EXCLUSIVE`,
  // What was deleted is not carried on in free pages.
  `PRAGMA ${place}.secure_delete = ON`,
];

const sqlOf = (place: Place) =>
  ({
    put: `INSERT INTO ${place}.record (space, key, revision, body) VALUES (?, ?, ?, ?)
      ON CONFLICT (space, key) DO UPDATE SET revision = excluded.revision, body = excluded.body`,
    delete: `DELETE FROM ${place}.record WHERE space = ? AND key = ?`,
    get: `SELECT revision, body FROM ${place}.record WHERE space = ? AND key = ?`,
    list: `SELECT key, revision, body FROM ${place}.record
      WHERE space = ? AND key > ? AND key < ? ORDER BY key LIMIT ?`,
    size: `SELECT coalesce(sum(length(body) + 2 * (length(space) + length(key)) + ${RECORD_OVERHEAD_BYTES}), 0)
      FROM ${place}.record WHERE space = ? AND key > ? AND key < ?`,
    pages: `SELECT page_count * page_size FROM pragma_page_count('${place}'), pragma_page_size('${place}')`,
  }) as const;

/** `main`: the database file that sql.js keeps in a file system of its own, in memory. `live`: SQLite's own pages. */
type Place = "main" | "live";

const EVERY_KEY: Omit<ListRange, "limit"> = { after: "", before: LAST_KEY };

let engine: Promise<SqlJsStatic> | undefined;

/** The records in memory: SQLite as WebAssembly. Synchronous; knows nothing of files and keys. */
export class Image implements Disposable {
  readonly #database: Database;
  readonly #statements: Readonly<Record<keyof ReturnType<typeof sqlOf>, Statement>>;

  private constructor(database: Database, place: Place) {
    this.#database = database;
    const sql = sqlOf(place);
    this.#statements = {
      put: database.prepare(sql.put),
      delete: database.prepare(sql.delete),
      get: database.prepare(sql.get),
      list: database.prepare(sql.list),
      size: database.prepare(sql.size),
      pages: database.prepare(sql.pages),
    };
  }

  /** Opens what `toBytes` gave, or an empty image, to read it or to give its bytes again. Takes `bytes`. */
  static async open(bytes?: Uint8Array): Promise<Image> {
    const database = await openFile(bytes);
    for (const pragma of pragmasOf("main")) database.run(pragma);
    if (bytes === undefined) database.run(schemaOf("main"));
    return new Image(database, "main");
  }

  /**
   * The same for a vault at work: twice as fast to write, and never a pause of a hundred milliseconds, in which sql.js's
   * file system copies a file that has outgrown its array. Has no `toBytes`. Copies `bytes`, at half a gigabyte a second.
   */
  static async openLive(bytes?: Uint8Array): Promise<Image> {
    const database = await openFile();
    database.run("ATTACH ':memory:' AS live");
    for (const pragma of pragmasOf("live")) database.run(pragma);
    database.run(schemaOf("live"));
    if (bytes !== undefined) await copyInto(database, bytes);
    return new Image(database, "live");
  }

  /** All of the transactions or none. */
  apply(transactions: readonly Transaction[]): void {
    this.#database.run("BEGIN");
    try {
      for (const transaction of transactions) this.#applyOne(transaction);
      this.#database.run("COMMIT");
    } catch (cause) {
      this.#rollBack();
      // Statements fail for want of memory alone, which the engine has two gigabytes of. sql.js throws bare strings too.
      throw new GatehouseError("vault.full", "the vault's records do not fit into memory", {
        hint: "destroy what is no longer needed, or restore a backup on a machine with more memory",
        cause,
      });
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

  /** What the records of `space` cost; those between two keys with `range`. */
  sizeOf(space: Space, { after, before } = EVERY_KEY): number {
    return this.#number("size", [space, after, before]);
  }

  /** Of the engine's pages, free ones included. */
  get sizeBytes(): number {
    return this.#number("pages", []);
  }

  /** The database file of an image from `open`. The last thing asked of it: sql.js frees every statement on the way. */
  toBytes(): Uint8Array {
    return this.#database.export();
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  /** Where memory has run out, SQLite may have rolled back by itself. */
  #rollBack(): void {
    try {
      this.#database.run("ROLLBACK");
    } catch {
      // What failed first is told.
    }
  }

  #number(name: "size" | "pages", parameters: SqlValue[]): number {
    const statement = this.#statements[name];
    try {
      statement.bind(parameters);
      statement.step();
      const [found] = statement.get();
      invariant(typeof found === "number", "a sum is a number");
      return found;
    } finally {
      statement.reset();
    }
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

async function openFile(bytes?: Uint8Array): Promise<Database> {
  engine ??= initSqlJs();
  const { Database } = await engine;
  return new Database(bytes);
}

async function copyInto(database: Database, bytes: Uint8Array): Promise<void> {
  const source = await openFile(bytes);
  try {
    // All databases of one engine share its file system.
    const [list] = source.exec("SELECT file FROM pragma_database_list WHERE name = 'main'");
    database.run("ATTACH ? AS source", [list?.values[0]?.[0] ?? null]);
    database.run("INSERT INTO live.record SELECT * FROM source.record");
    database.run("DETACH source");
  } finally {
    source.close();
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
