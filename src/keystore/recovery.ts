import { createSecretKey, type KeyObject } from "node:crypto";
import {
  ByteReader,
  concat,
  copyOf,
  equalBytes,
  GatehouseError,
  type Random,
  SecretBytes,
  utf8,
} from "../core/index.ts";
import {
  agree,
  agreementKeyOf,
  agreementPublicKey,
  generateAgreementKey,
  hkdfSha256,
  LABELS,
} from "../crypto/index.ts";
import { decodeBech32, encodeBech32 } from "./bech32.ts";
import { checkKeyId, KEY_BYTES, type KeyProvider, type ProvidedKey } from "./key-provider.ts";

/**
 * The recovery key: an age X25519 identity (`AGE-SECRET-KEY-1…`, C2SP age v1), kept on paper. What is to be recovered
 * knows its public half alone, the recipient (`age1…`), so that it can be sealed anew without the paper. Parameters:
 *
 * | bytes | field |
 * | --- | --- |
 * | 1 | format 1 |
 * | 32 | recipient: X25519 public key of the recovery key |
 * | 32 | ephemeral X25519 public key, made for this one use |
 *
 * key = HKDF-SHA-256(ikm = X25519(ephemeral, recipient), salt = ephemeral ‖ recipient, info = label ‖ `/` ‖ key id,
 * 32 bytes).
 */

const FORMAT = 1;
const SECRET_PREFIX = "age-secret-key-";
const RECIPIENT_PREFIX = "age";
const PUBLIC_BYTES = 32;
/** Twice what it has: people paste with spaces. */
const TEXT_BYTES_MAX = 160;
/** The kind of what a recovery key opens. */
export const RECOVERY_KIND = "recovery";

export interface RecoveryKey {
  /** `AGE-SECRET-KEY-1…`, ASCII, to be shown once; the caller's to dispose of. */
  readonly text: SecretBytes;
  /** 32 bytes. */
  readonly recipient: Uint8Array;
}

export function generateRecoveryKey(random: Random): RecoveryKey {
  const secret = random.bytes(KEY_BYTES);
  const text = encodeBech32(SECRET_PREFIX, secret);
  for (const [index, code] of text.entries()) if (code >= 0x61 && code <= 0x7a) text[index] = code - 32;
  try {
    return { text: new SecretBytes(text), recipient: agreementPublicKey(agreementKeyOf(secret)) };
  } finally {
    secret.fill(0);
  }
}

/** `age1…`. */
export function formatRecipient(recipient: Uint8Array): string {
  return Buffer.from(encodeBech32(RECIPIENT_PREFIX, recipient)).toString("ascii");
}

/** 32 bytes. @throws GatehouseError `usage.bad-argument` unless `text` is an age X25519 recipient. */
export function parseRecipient(text: string): Uint8Array {
  const bytes = text.length > TEXT_BYTES_MAX ? undefined : decodeBech32(RECIPIENT_PREFIX, utf8(text.trim()));
  // Of small order there are public keys with which everybody has the same secret.
  if (bytes?.length === PUBLIC_BYTES && agree(PROBE, bytes) !== undefined) return bytes;
  throw new GatehouseError("usage.bad-argument", "this is no recipient of the age format", {
    hint: "it begins with age1, as age-keygen prints it; the secret key itself belongs nowhere here",
  });
}

/** Of a recovery key's text. @throws GatehouseError `usage.bad-argument` for what is none. */
export function recipientOf(text: Uint8Array): Uint8Array {
  return agreementPublicKey(parseRecoveryKey(copyOf(text)));
}

/** Of the recovery key that opens what these parameters are kept with; `undefined` for other parameters. */
export function recipientIn(parameters: Uint8Array): Uint8Array | undefined {
  const isOurs = parameters.length === 1 + 2 * PUBLIC_BYTES && parameters[0] === FORMAT;
  return isOurs ? copyOf(parameters.subarray(1, 1 + PUBLIC_BYTES)) : undefined;
}

/** Makes keys for whoever holds the recovery key; its `load` throws GatehouseError `key.missing`: that takes the key. */
export function recoveryRecipient(input: {
  /** 32 bytes, from `parseRecipient` or `generateRecoveryKey`. */
  readonly recipient: Uint8Array;
  readonly random: Random;
}): KeyProvider {
  const { recipient, random } = input;
  return {
    kind: RECOVERY_KIND,
    create: (id): Promise<ProvidedKey> => {
      checkKeyId(id);
      const own = generateAgreementKey(random);
      const ephemeral = agreementPublicKey(own);
      const shared = agree(own, recipient);
      if (shared === undefined) throw new RangeError("recovery: a recipient that parseRecipient never made");
      const parameters = concat(Uint8Array.of(FORMAT), recipient, ephemeral);
      return Promise.resolve({ key: keyOf(shared, { recipient, ephemeral, id }), parameters });
    },
    load: () =>
      Promise.reject(
        new GatehouseError("key.missing", "the recovery key itself is needed for this", {
          hint: "give it with --kek recovery",
        }),
      ),
  };
}

/**
 * Opens with the recovery key that `ask` answers (its text; wiped). `create` throws GatehouseError `key.unsupported`;
 * `load` throws `usage.bad-argument` for a text that is no recovery key, `key.wrong` for another one, `file.damaged`
 * for parameters that were never written.
 */
export function recoveryProvider(input: {
  readonly ask: () => Promise<SecretBytes | Uint8Array>;
}): KeyProvider {
  return {
    kind: RECOVERY_KIND,
    create: () =>
      Promise.reject(
        new GatehouseError("key.unsupported", "a recovery key opens what was made with another key", {
          hint: "choose another --kek; a recovery key is made beside it",
        }),
      ),
    load: async (id, parameters): Promise<KeyObject> => {
      checkKeyId(id);
      const { recipient, ephemeral } = parsedParameters(parameters);
      const own = parseRecoveryKey(bytesOf(await input.ask()));
      if (!equalBytes(agreementPublicKey(own), recipient)) throw otherKey(recipient);
      const shared = agree(own, ephemeral);
      if (shared === undefined) throw damagedParameters();
      return keyOf(shared, { recipient, ephemeral, id });
    },
  };
}

/** Takes `answer`. */
function bytesOf(answer: SecretBytes | Uint8Array): Uint8Array {
  if (answer instanceof Uint8Array) return answer;
  using secret = answer;
  return secret.use((bytes) => new Uint8Array(bytes));
}

/** Takes `text`. */
function parseRecoveryKey(text: Uint8Array): KeyObject {
  const trimmed = text.filter((code) => code > 0x20);
  const secret = text.length > TEXT_BYTES_MAX ? undefined : decodeBech32(SECRET_PREFIX, trimmed);
  try {
    if (secret?.length === KEY_BYTES) return agreementKeyOf(secret);
  } finally {
    for (const bytes of [text, trimmed, secret]) bytes?.fill(0);
  }
  throw new GatehouseError("usage.bad-argument", "this is no recovery key, or it has a typing mistake", {
    hint: "it begins with AGE-SECRET-KEY-1 and has 74 characters",
  });
}

/** Takes `shared`. */
function keyOf(
  shared: Uint8Array,
  { recipient, ephemeral, id }: { recipient: Uint8Array; ephemeral: Uint8Array; id: string },
): KeyObject {
  const info = utf8(`${LABELS.recoveryKey}/${id}`);
  const bytes = hkdfSha256({ ikm: shared, salt: concat(ephemeral, recipient), info, length: KEY_BYTES });
  shared.fill(0);
  const key = createSecretKey(bytes);
  bytes.fill(0);
  return key;
}

function parsedParameters(parameters: Uint8Array) {
  if (recipientIn(parameters) === undefined) throw damagedParameters();
  const reader = new ByteReader(parameters.subarray(1));
  return { recipient: reader.raw(PUBLIC_BYTES), ephemeral: reader.raw(PUBLIC_BYTES) };
}

function otherKey(recipient: Uint8Array): GatehouseError<"key.wrong"> {
  return new GatehouseError("key.wrong", "this is the recovery key of something else", {
    hint: `nothing was changed; the one wanted here belongs to ${formatRecipient(recipient)}`,
  });
}

function damagedParameters(): GatehouseError<"file.damaged"> {
  return new GatehouseError("file.damaged", "what is kept for the recovery key is damaged", {
    hint: "nothing was changed; restore the file from a backup",
  });
}

const PROBE = agreementKeyOf(new Uint8Array(KEY_BYTES).fill(1));
