import type { KeyObject } from "node:crypto";

/** A key from a provider, and what the provider wants to read again to find or make it anew. */
export interface ProvidedKey {
  /** 32 bytes. */
  readonly key: KeyObject;
  /** Not secret; whoever asked keeps it beside what the key seals. At most 1 024 bytes; often empty. */
  readonly parameters: Uint8Array;
}

/** Where a key comes from that opens what lies in a home. Never from the home itself. */
export interface KeyProvider {
  /** Lower-case name of the kind, such as `key-file`; kept beside what the key seals, to know whom to ask. */
  readonly kind: string;
  /**
   * Makes the key named `id` (see `checkKeyId`), or finds the one that somebody else has put there for us. Never
   * replaces a key.
   */
  create(id: string): Promise<ProvidedKey>;
  /** Throws what `create` would throw for a key that is there already; where that can be known before. */
  checkFree?(id: string): Promise<void>;
  /**
   * The key named `id`, with what `create` answered as its parameters.
   * @throws GatehouseError `key.missing` when there is none or it cannot be had now, `key.wrong` when it is visibly
   * another, `key.unsupported` when this machine has no such provider.
   */
  load(id: string, parameters: Uint8Array): Promise<KeyObject>;
}

export const KEY_BYTES = 32;

const KEY_ID = /^[a-z0-9-]{1,64}$/;

/** Key names become file names and arguments. @throws RangeError unless 1 to 64 of a–z, 0–9 and `-`. */
export function checkKeyId(id: string): void {
  if (!isKeyId(id)) throw new RangeError("key id: not 1 to 64 of a-z, 0-9 and -");
}

export function isKeyId(text: string): boolean {
  return KEY_ID.test(text);
}
