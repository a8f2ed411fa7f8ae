import { createSecretKey, type KeyObject } from "node:crypto";
import { join } from "node:path";
import { GatehouseError, isGatehouseError } from "../core/index.ts";
import { readSmallFile } from "../files/index.ts";
import { checkKeyId, type KeyProvider, type ProvidedKey } from "./key-provider.ts";
import { KEY_TEXT_BYTES_MAX, parseKey } from "./key-text.ts";

/** Name of the credential in the unit's `LoadCredentialEncrypted=`. */
const CREDENTIAL = "gatehouse.kek";

/**
 * The key that systemd hands to the service (systemd.exec, "Credentials"): 32 raw bytes, 64 hex digits or base64 in
 * `gatehouse.kek`. One key for every id; never made here. The folder is systemd's, which sees to its permissions.
 *
 * `credentialsDir` is `$CREDENTIALS_DIRECTORY`, `undefined` where there is none. Both methods throw GatehouseError
 * `key.missing`, `key.wrong` (no key in the credential), `file.io`.
 */
export function systemdCredentialProvider(input: {
  readonly credentialsDir: string | undefined;
}): KeyProvider {
  const load = async (id: string): Promise<KeyObject> => {
    checkKeyId(id);
    const file = await readCredential(input.credentialsDir);
    const key = parseKey(file);
    try {
      if (key === undefined) throw notAKey();
      return createSecretKey(key);
    } finally {
      file.fill(0);
      key?.fill(0);
    }
  };
  return {
    kind: "systemd",
    create: async (id): Promise<ProvidedKey> => ({ key: await load(id), parameters: new Uint8Array() }),
    load,
  };
}

async function readCredential(credentialsDir: string | undefined): Promise<Uint8Array> {
  if (credentialsDir === undefined) throw missing("this process was not started with systemd credentials");
  try {
    return await readSmallFile(join(credentialsDir, CREDENTIAL), KEY_TEXT_BYTES_MAX);
  } catch (failure) {
    if (isGatehouseError(failure, "file.not-found")) {
      throw missing(`systemd gave no credential ${CREDENTIAL}`, failure);
    }
    throw isGatehouseError(failure, "file.too-large") ? notAKey() : failure;
  }
}

function missing(message: string, cause?: unknown): GatehouseError<"key.missing"> {
  return new GatehouseError("key.missing", message, {
    hint: `make it with systemd-creds encrypt, and name it in the unit: LoadCredentialEncrypted=${CREDENTIAL}:PATH`,
    cause,
  });
}

function notAKey(): GatehouseError<"key.wrong"> {
  return new GatehouseError("key.wrong", `the credential ${CREDENTIAL} is not a key`, {
    hint: "it must be 32 bytes: raw, as 64 hex digits, or as base64",
  });
}
