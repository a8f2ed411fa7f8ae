import type { KeyCodec } from "../ca/index.ts";
import { LABELS } from "../crypto/index.ts";
import type { Vault } from "../vault/index.ts";

/** Seals the authority's signing key under the vault's key: a thief of the home's disk cannot issue certificates. */
export function caKeyCodec(vault: Vault): KeyCodec {
  return {
    seal: (bytes) => vault.sealSmall(LABELS.caKey, bytes),
    open: (bytes) => vault.openSmall(LABELS.caKey, bytes),
  };
}
