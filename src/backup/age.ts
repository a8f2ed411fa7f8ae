import { Decrypter, Encrypter } from "age-encryption";
import { GatehouseError } from "../core/index.ts";
import { type DeviceKey, deviceKeyIdentity } from "./device-key.ts";
import { damagedBackup } from "./manifest.ts";

/** At most so many may read a backup. */
const RECIPIENTS_MAX = 32;

/**
 * An age v1 file (C2SP) of `bytes` for the recipients (`age1…`).
 * @throws GatehouseError `usage.bad-argument` for none, too many, or what is no recipient.
 */
export async function encryptTo(
  recipients: readonly string[],
  bytes: AsyncIterable<Uint8Array>,
): Promise<AsyncIterable<Uint8Array>> {
  return await encrypterFor(recipients).encrypt(ReadableStream.from(bytes));
}

/** @throws GatehouseError `usage.bad-argument` where `encryptTo` would. */
export function checkRecipients(recipients: readonly string[]): void {
  encrypterFor(recipients);
}

function encrypterFor(recipients: readonly string[]): Encrypter {
  if (recipients.length < 1 || recipients.length > RECIPIENTS_MAX) {
    throw new GatehouseError("usage.bad-argument", `a backup is for 1 to ${RECIPIENTS_MAX} recipients`, {
      hint: "name somebody with --to age1…, or make a recovery key: gatehouse vault key add --recovery",
    });
  }
  const encrypter = new Encrypter();
  for (const recipient of new Set(recipients)) addRecipient(encrypter, recipient);
  return encrypter;
}

/** What opens a backup: an age identity (`AGE-SECRET-KEY-1…`), or a device's own key. */
export type BackupKey = string | DeviceKey;

/**
 * What is in an age file.
 * @throws GatehouseError `usage.bad-argument` for what is no identity; `backup.wrong-key`; `backup.damaged`, also while it
 * is read.
 */
export async function* decryptWith(
  identity: BackupKey,
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, void> {
  const decrypter = new Decrypter();
  try {
    decrypter.addIdentity(typeof identity === "string" ? identity : deviceKeyIdentity(identity));
  } catch {
    // What it says may hold the key.
    throw new GatehouseError("usage.bad-argument", "this is no age identity, or it has a typing mistake", {
      hint: "a recovery key begins with AGE-SECRET-KEY-1",
    });
  }
  try {
    yield* await decrypter.decrypt(ReadableStream.from(bytes));
  } catch (cause) {
    if (cause instanceof GatehouseError) throw cause;
    if (cause instanceof Error && /identity|identities/.test(cause.message)) throw wrongKey(cause);
    throw damagedBackup("its encryption", cause);
  }
}

function addRecipient(encrypter: Encrypter, recipient: string): void {
  try {
    encrypter.addRecipient(recipient);
  } catch (cause) {
    throw new GatehouseError("usage.bad-argument", "this is no recipient of the age format", {
      hint: "it begins with age1, as age-keygen prints it; the secret key itself belongs nowhere here",
      cause,
    });
  }
}

function wrongKey(cause: unknown): GatehouseError<"backup.wrong-key"> {
  return new GatehouseError("backup.wrong-key", "the backup was not made for this key", {
    hint: "nothing was changed; give the recovery key of that gatehouse, or the key of another recipient",
    cause,
  });
}
