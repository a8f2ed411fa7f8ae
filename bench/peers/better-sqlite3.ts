import { join } from "node:path";
import { requirePeer } from "../support/peer-modules.ts";
import { type SqlDatabase, SqliteSecretStore, type SqlValue } from "./sqlite-store.ts";

/** What is used of it. */
interface Statement {
  readonly reader: boolean;
  run(...values: readonly SqlValue[]): unknown;
  get(...values: readonly SqlValue[]): unknown;
}

interface Native {
  prepare(sql: string): Statement;
  close(): void;
}

export function openBetterSqlite(dir: string): SqliteSecretStore {
  const Database = requirePeer("better-sqlite3") as new (path: string) => Native;
  return new SqliteSecretStore(adapted(new Database(join(dir, "secrets.db"))));
}

function adapted(native: Native): SqlDatabase {
  const once = new Map<string, Statement>();
  return {
    query: (sql) => {
      const statement = once.get(sql) ?? native.prepare(sql);
      once.set(sql, statement);
      return statement.reader ? statement.get() : statement.run();
    },
    prepare: (sql) => {
      const statement = native.prepare(sql);
      return {
        run: (values) => void statement.run(...values),
        first: (values) => statement.get(...values),
      };
    },
    close: () => native.close(),
  };
}
