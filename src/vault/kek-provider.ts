import type { KeyObject } from "node:crypto";
import { type ErrorCode, GatehouseError } from "../core/index.ts";
import type { KeyProvider } from "../keystore/index.ts";

/** Where the key that opens a vault comes from; the key's id is the vault's. */
export type KekProvider = KeyProvider;

const CODES = { "key.missing": "vault.key-missing", "key.wrong": "vault.wrong-key" } as const;

/** The vault's key; that it is missing or wrong is said of the vault. @throws GatehouseError of the provider */
export async function loadKek(
  provider: KekProvider,
  vaultId: string,
  parameters: Uint8Array,
): Promise<KeyObject> {
  try {
    return await provider.load(vaultId, parameters);
  } catch (failure) {
    throw failure instanceof GatehouseError && isOfKey(failure) ? ofVault(failure) : failure;
  }
}

function isOfKey(failure: GatehouseError): failure is GatehouseError<keyof typeof CODES> {
  return failure.code in CODES;
}

function ofVault(failure: GatehouseError<keyof typeof CODES>): GatehouseError {
  const code: ErrorCode = CODES[failure.code];
  const { hint } = failure;
  return new GatehouseError(code, failure.message, {
    ...(hint === undefined ? {} : { hint }),
    cause: failure,
  });
}
