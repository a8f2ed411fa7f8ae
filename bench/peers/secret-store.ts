/** What every contender of the vault suite does: keep small secrets, each sealed under a data key of its own. */

export interface Entry {
  readonly path: string;
  readonly value: Uint8Array;
}

export interface SecretStore extends AsyncDisposable {
  /** Seals `value` as the path's next version; on disk, beyond a power loss, when it settles. */
  put(path: string, value: Uint8Array): Promise<void>;
  /** The same for many, in one transaction; left out by one that shares its disk writes unasked. */
  putTogether?(entries: readonly Entry[]): Promise<void>;
  /** The path's newest version, unsealed. */
  get(path: string): Promise<Uint8Array>;
  /** Moves what was logged into the store's main file, and ends the log. */
  checkpoint(): Promise<void>;
  /** A consistent copy of everything, for a backup. */
  capture?(): Promise<void>;
}

/**
 * `gatehouse` keeps its audit log too, as when it serves: an event in the journal for each put, and again in the log.
 * `gatehouse-bare` has events, and nobody who keeps them: the peers' job and no more.
 */
export const STORE_NAMES = ["gatehouse", "gatehouse-bare", "better-sqlite3", "node-sqlite3-wasm"] as const;

export type StoreName = (typeof STORE_NAMES)[number];

/** @throws PeerMissing */
export async function openSecretStore(name: StoreName, dir: string): Promise<SecretStore> {
  switch (name) {
    case "gatehouse":
    case "gatehouse-bare": {
      const { VaultSecretStore } = await import("./vault-store.ts");
      return await VaultSecretStore.open(dir, name === "gatehouse" ? "kept" : "dropped");
    }
    case "better-sqlite3": {
      const { openBetterSqlite } = await import("./better-sqlite3.ts");
      return openBetterSqlite(dir);
    }
    case "node-sqlite3-wasm": {
      const { openNodeSqliteWasm } = await import("./node-sqlite3-wasm.ts");
      return openNodeSqliteWasm(dir);
    }
  }
}
