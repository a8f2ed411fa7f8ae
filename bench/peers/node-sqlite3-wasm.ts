import { join } from "node:path";
import { requirePeer } from "../support/peer-modules.ts";
import { type SqlDatabase, SqliteSecretStore, type SqlValue } from "./sqlite-store.ts";

/** What is used of it. */
interface Statement {
  run(values: readonly SqlValue[]): unknown;
  all(values: readonly SqlValue[]): readonly unknown[];
  finalize(): void;
}

interface Wasm {
  get(sql: string): unknown;
  prepare(sql: string): Statement;
  close(): void;
}

export function openNodeSqliteWasm(dir: string): SqliteSecretStore {
  const { Database } = requirePeer("node-sqlite3-wasm") as { readonly Database: new (path: string) => Wasm };
  return new SqliteSecretStore(adapted(new Database(join(dir, "secrets.db"))));
}

function adapted(wasm: Wasm): SqlDatabase {
  const prepared: Statement[] = [];
  return {
    query: (sql) => wasm.get(sql),
    prepare: (sql) => {
      const statement = wasm.prepare(sql);
      prepared.push(statement);
      return {
        run: (values) => void statement.run(values),
        // To the statement's end: its `get` leaves it, and with it the file, locked for a checkpoint.
        first: (values) => statement.all(values)[0],
      };
    },
    close: () => {
      for (const statement of prepared) statement.finalize();
      wasm.close();
    },
  };
}
