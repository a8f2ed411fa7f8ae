import { createSecretKey, type KeyObject, scrypt } from "node:crypto";
import {
  ByteReader,
  ByteWriter,
  fromUtf8,
  GatehouseError,
  type Random,
  SecretBytes,
  unmovedCopyOf,
  utf8,
} from "../core/index.ts";
import { checkKeyId, KEY_BYTES, type KeyProvider, type ProvidedKey } from "./key-provider.ts";

/**
 * Keys from a passphrase by scrypt (RFC 7914). Its parameters:
 *
 * | bytes | field |
 * | --- | --- |
 * | 1 | format 1 |
 * | 1 | log2 of N, 15 to 18 |
 * | 1 | r, 8 |
 * | 1 | p, 1 or 2 |
 * | 16 | salt |
 *
 * Whoever can write them may make us spend 256 MiB and a second of one core, and no more.
 */

const FORMAT = 1;
const SALT_BYTES = 16;
const LOG_N = { least: 15, most: 18 };
const BLOCK_SIZE = 8;
const PARALLEL_MAX = 2;
/** 128 MiB and a quarter of a second. */
const NEW_COST = { logN: 17, parallel: 1 };

const CHARACTERS_MIN = 8;
const PASSPHRASE_BYTES_MAX = 1_024;

/** What is asked for: a passphrase to be set, or the one that was. */
export interface PassphrasePrompt {
  readonly purpose: "create" | "open";
  /** The key's id. */
  readonly id: string;
}

/** Answers UTF-8 without a line end; whether a new one is to be typed twice is decided here. */
export type AskPassphrase = (prompt: PassphrasePrompt) => Promise<SecretBytes | Uint8Array>;

/**
 * The key is what the passphrase makes of a salt; nothing is kept. A wrong passphrase makes another key: what it is
 * to open then does not open. The answers of `ask` are wiped. Computed outside the event loop's thread.
 *
 * Its `create` throws GatehouseError `usage.bad-argument` for a passphrase of less than 8 characters; both do for
 * one of more than 1 024 bytes or not in UTF-8. Its `load` throws `file.damaged` for parameters it never wrote.
 */
export function passphraseProvider(input: {
  readonly ask: AskPassphrase;
  readonly random: Random;
}): KeyProvider {
  const { ask, random } = input;
  return {
    kind: "passphrase",
    async create(id): Promise<ProvidedKey> {
      checkKeyId(id);
      const parameters = { ...NEW_COST, salt: random.bytes(SALT_BYTES) };
      using passphrase = await answerOf(ask, { purpose: "create", id });
      passphrase.use(checkLength);
      return { key: await derive(passphrase, parameters), parameters: encodeParameters(parameters) };
    },
    async load(id, bytes): Promise<KeyObject> {
      checkKeyId(id);
      const parameters = decodeParameters(bytes);
      using passphrase = await answerOf(ask, { purpose: "open", id });
      return await derive(passphrase, parameters);
    },
  };
}

interface Parameters {
  readonly logN: number;
  readonly parallel: number;
  readonly salt: Uint8Array;
}

function encodeParameters({ logN, parallel, salt }: Parameters): Uint8Array {
  return new ByteWriter().u8(FORMAT).u8(logN).u8(BLOCK_SIZE).u8(parallel).raw(salt).finish();
}

function decodeParameters(bytes: Uint8Array): Parameters {
  try {
    return parseParameters(new ByteReader(bytes));
  } catch (cause) {
    throw new GatehouseError("file.damaged", "what is kept to make the key from the passphrase is damaged", {
      hint: "nothing was changed; restore the file from a backup",
      cause,
    });
  }
}

function parseParameters(reader: ByteReader): Parameters {
  if (reader.u8() !== FORMAT) throw new RangeError("unknown format");
  const logN = within(reader.u8(), LOG_N.least, LOG_N.most);
  within(reader.u8(), BLOCK_SIZE, BLOCK_SIZE);
  const parallel = within(reader.u8(), 1, PARALLEL_MAX);
  const salt = reader.raw(SALT_BYTES);
  reader.end();
  return { logN, parallel, salt };
}

function within(value: number, least: number, most: number): number {
  if (value < least || value > most) throw new RangeError(`${value} is not within ${least} and ${most}`);
  return value;
}

async function answerOf(ask: AskPassphrase, prompt: PassphrasePrompt): Promise<SecretBytes> {
  const answer = await ask(prompt);
  const bytes = answer instanceof SecretBytes ? answer.use(unmovedCopyOf) : answer;
  if (answer instanceof SecretBytes) answer[Symbol.dispose]();
  try {
    return new SecretBytes(composed(bytes));
  } finally {
    bytes.fill(0);
  }
}

/** One text has several forms outside ASCII, and keyboards differ (RFC 8265 §4.2 takes NFC). */
function composed(bytes: Uint8Array): Uint8Array {
  if (bytes.length > PASSPHRASE_BYTES_MAX) {
    throw badPassphrase(`a passphrase has at most ${PASSPHRASE_BYTES_MAX} bytes`);
  }
  if (bytes.every((byte) => byte < 0x80)) return unmovedCopyOf(bytes);
  try {
    return utf8(fromUtf8(bytes).normalize("NFC"));
  } catch {
    throw badPassphrase("the passphrase is not text in UTF-8");
  }
}

function checkLength(passphrase: Uint8Array): void {
  // Every character of UTF-8 has one byte that does not continue another.
  const characters = passphrase.reduce((sum, byte) => sum + ((byte & 0xc0) === 0x80 ? 0 : 1), 0);
  if (characters < CHARACTERS_MIN) {
    throw badPassphrase(
      `a passphrase has at least ${CHARACTERS_MIN} characters`,
      "five random words are better",
    );
  }
}

function derive(passphrase: SecretBytes, { logN, parallel, salt }: Parameters): Promise<KeyObject> {
  const cost = { N: 2 ** logN, r: BLOCK_SIZE, p: parallel };
  // What the algorithm needs, and half as much again for what the library counts.
  const maxmem = 192 * cost.r * (cost.N + cost.p);
  return new Promise((resolve, reject) => {
    passphrase.use((bytes) => {
      scrypt(bytes, salt, KEY_BYTES, { ...cost, maxmem }, (failure, key) => {
        if (failure !== null) {
          reject(failure);
          return;
        }
        resolve(createSecretKey(key));
        key.fill(0);
      });
    });
  });
}

function badPassphrase(message: string, hint?: string): GatehouseError<"usage.bad-argument"> {
  return new GatehouseError("usage.bad-argument", message, hint === undefined ? {} : { hint });
}
