import { createSecretKey, type KeyObject } from "node:crypto";
import { join } from "node:path";
import {
  concat,
  equalBytes,
  fromHex,
  GatehouseError,
  isGatehouseError,
  type Random,
  utf8,
} from "../core/index.ts";
import { sha256 } from "../crypto/index.ts";
import { checkPrivate, createOnce, ensurePrivateDir, readSmallFile } from "../files/index.ts";
import type { KekProvider, ProvidedKey } from "./kek-provider.ts";

/**
 * A key file, mode 0600, outside the home it opens:
 *
 * | bytes | field |
 * | --- | --- |
 * | 7 | `GHKEK1\n` |
 * | 16 | id of the vault it was made for |
 * | 32 | key |
 * | 8 | first bytes of SHA-256 of all before: tells a damaged file from a wrong one |
 */

const MAGIC = utf8("GHKEK1\n");
const ID_BYTES = 16;
const KEY_BYTES = 32;
const CHECK_BYTES = 8;
const FILE_BYTES = MAGIC.length + ID_BYTES + KEY_BYTES + CHECK_BYTES;

/**
 * Keys in files: `<dir>/<vault id>.kek`, or the one file named.
 *
 * Its `load` throws GatehouseError `vault.key-missing`, `vault.wrong-key` (made for another vault),
 * `file.damaged`, `home.bad-permissions`; its `create` never replaces a file.
 */
export function keyFileProvider(
  input: ({ readonly dir: string } | { readonly path: string }) & { readonly random: Random },
): KekProvider {
  const pathOf = (vaultId: string): string =>
    "path" in input ? input.path : join(input.dir, `${vaultId}.kek`);
  return {
    kind: "key-file",
    async create(vaultId): Promise<ProvidedKey> {
      if ("dir" in input) await ensurePrivateDir(input.dir);
      const key = input.random.bytes(KEY_BYTES);
      const file = encodeKeyFile(vaultId, key);
      try {
        if ((await createOnce(pathOf(vaultId), file)) === "exists") throw keyFileExists();
        return { key: createSecretKey(key), parameters: new Uint8Array() };
      } finally {
        key.fill(0);
        file.fill(0);
      }
    },
    async load(vaultId): Promise<KeyObject> {
      const file = await readKeyFile(pathOf(vaultId), vaultId);
      try {
        return createSecretKey(parseKeyFile(file, vaultId));
      } finally {
        file.fill(0);
      }
    },
  };
}

async function readKeyFile(path: string, vaultId: string): Promise<Uint8Array> {
  try {
    await checkPrivate(path);
    return await readSmallFile(path);
  } catch (cause) {
    if (!isGatehouseError(cause, "file.not-found")) throw cause;
    throw new GatehouseError("vault.key-missing", `the key file of vault ${vaultId} is not there`, {
      hint: "put the key file back in place, or name it with --kek keyfile:PATH",
      cause,
    });
  }
}

function encodeKeyFile(vaultId: string, key: Uint8Array): Uint8Array {
  const body = concat(MAGIC, fromHex(vaultId), key);
  const file = concat(body, sha256(body).subarray(0, CHECK_BYTES));
  body.fill(0);
  return file;
}

/** A view of `file`. */
function parseKeyFile(file: Uint8Array, vaultId: string): Uint8Array {
  const body = file.subarray(0, FILE_BYTES - CHECK_BYTES);
  const check = sha256(body).subarray(0, CHECK_BYTES);
  if (file.length !== FILE_BYTES || !equalBytes(file.subarray(body.length), check)) {
    throw new GatehouseError("file.damaged", `the key file of vault ${vaultId} is damaged`, {
      hint: "nothing was changed; restore the key file from a copy",
    });
  }
  if (!equalBytes(file.subarray(MAGIC.length, MAGIC.length + ID_BYTES), fromHex(vaultId))) {
    throw new GatehouseError("vault.wrong-key", `the key file of vault ${vaultId} belongs to another one`, {
      hint: "nothing was changed; point the gatehouse at the key this vault was made with",
    });
  }
  return file.subarray(MAGIC.length + ID_BYTES, MAGIC.length + ID_BYTES + KEY_BYTES);
}

function keyFileExists(): GatehouseError<"file.exists"> {
  return new GatehouseError("file.exists", "a key file is there already and is never replaced", {
    hint: "move it away, or name another one with --kek keyfile:PATH",
  });
}
