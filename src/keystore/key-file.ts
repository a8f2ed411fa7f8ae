import { createSecretKey, type KeyObject } from "node:crypto";
import { lstat } from "node:fs/promises";
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
import { checkKeyId, KEY_BYTES, type KeyProvider, type ProvidedKey } from "./key-provider.ts";

/**
 * A key file, mode 0600, outside the home it opens:
 *
 * | bytes | field |
 * | --- | --- |
 * | 7 | `GHKEK1\n` |
 * | 16 | the key's id: its 32 hex digits as bytes; of another name the first bytes of its SHA-256 |
 * | 32 | key |
 * | 8 | first bytes of SHA-256 of all before: tells a damaged file from a wrong one |
 */

const MAGIC = utf8("GHKEK1\n");
const ID_BYTES = 16;
const CHECK_BYTES = 8;
const FILE_BYTES = MAGIC.length + ID_BYTES + KEY_BYTES + CHECK_BYTES;

/**
 * Keys in files: `<dir>/<id>.kek`, or the one file named, which holds one key only.
 *
 * Its `load` throws GatehouseError `key.missing`, `key.wrong` (made under another id), `file.damaged`,
 * `home.bad-permissions`; its `create` throws `file.exists` and never replaces a file.
 */
export function keyFileProvider(
  input: ({ readonly dir: string } | { readonly path: string }) & { readonly random: Random },
): KeyProvider {
  const pathOf = (id: string): string => ("path" in input ? input.path : join(input.dir, `${id}.kek`));
  return {
    kind: "key-file",
    async create(id): Promise<ProvidedKey> {
      checkKeyId(id);
      if ("dir" in input) await ensurePrivateDir(input.dir);
      const key = input.random.bytes(KEY_BYTES);
      const file = encodeKeyFile(id, key);
      try {
        if ((await createOnce(pathOf(id), file)) === "exists") throw keyFileExists();
        return { key: createSecretKey(key), parameters: new Uint8Array() };
      } finally {
        key.fill(0);
        file.fill(0);
      }
    },
    async checkFree(id): Promise<void> {
      if (await isThere(pathOf(id))) throw keyFileExists();
    },
    async load(id): Promise<KeyObject> {
      checkKeyId(id);
      const file = await readKeyFile(pathOf(id), id);
      try {
        return createSecretKey(parseKeyFile(file, id));
      } finally {
        file.fill(0);
      }
    },
  };
}

async function isThere(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  );
}

async function readKeyFile(path: string, id: string): Promise<Uint8Array> {
  try {
    await checkPrivate(path);
    return await readSmallFile(path);
  } catch (cause) {
    if (!isGatehouseError(cause, "file.not-found")) throw cause;
    throw new GatehouseError("key.missing", `the key file ${id} is not there`, {
      hint: "put the key file back in place, or name it with --kek keyfile:PATH",
      cause,
    });
  }
}

function encodeKeyFile(id: string, key: Uint8Array): Uint8Array {
  const body = concat(MAGIC, idBytes(id), key);
  const file = concat(body, sha256(body).subarray(0, CHECK_BYTES));
  body.fill(0);
  return file;
}

/** A view of `file`. */
function parseKeyFile(file: Uint8Array, id: string): Uint8Array {
  const body = file.subarray(0, FILE_BYTES - CHECK_BYTES);
  const check = sha256(body).subarray(0, CHECK_BYTES);
  if (
    file.length !== FILE_BYTES ||
    !equalBytes(file.subarray(body.length), check) ||
    !equalBytes(file.subarray(0, MAGIC.length), MAGIC)
  ) {
    throw new GatehouseError("file.damaged", `the key file ${id} is damaged`, {
      hint: "nothing was changed; restore the key file from a copy",
    });
  }
  if (!equalBytes(file.subarray(MAGIC.length, MAGIC.length + ID_BYTES), idBytes(id))) {
    throw new GatehouseError("key.wrong", `the file in place of the key file ${id} holds another key`, {
      hint: "nothing was changed; put the key file back that was made for this",
    });
  }
  return file.subarray(MAGIC.length + ID_BYTES, MAGIC.length + ID_BYTES + KEY_BYTES);
}

function idBytes(id: string): Uint8Array {
  return /^[0-9a-f]{32}$/.test(id) ? fromHex(id) : sha256(utf8(id)).subarray(0, ID_BYTES);
}

function keyFileExists(): GatehouseError<"file.exists"> {
  return new GatehouseError("file.exists", "a key file is there already and is never replaced", {
    hint: "it may open another home of this gatehouse, so keep it; name another place: keyfile:PATH, or GATEHOUSE_KEY_DIR",
  });
}
