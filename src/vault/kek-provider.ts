import type { KeyObject } from "node:crypto";

/** A key from a provider, and what the provider wants to read again to find or make it anew. */
export interface ProvidedKey {
  /** 32 bytes. */
  readonly key: KeyObject;
  /** Not secret; kept in the vault's header, bound to the slot. At most 1 024 bytes; often empty. */
  readonly parameters: Uint8Array;
}

/** Where the key that opens a vault comes from. Never from the vault's own folder. */
export interface KekProvider {
  /** Lower-case name of the kind, such as `key-file`; chooses the slot in the vault's header. */
  readonly kind: string;
  /** Makes the key of a new vault. */
  create(vaultId: string): Promise<ProvidedKey>;
  /** @throws GatehouseError `vault.key-missing` when there is no such key. */
  load(vaultId: string, parameters: Uint8Array): Promise<KeyObject>;
}
