/**
 * What makes a home recoverable: a slot of the vault for the recovery key's public half, and for the same key a copy of the
 * identity, `identity/recovery-<first 16 hex digits of the recipient>.key`. A home copied without its keys is opened by both.
 */
import { join } from "node:path";
import { type Clock, GatehouseError, hex, isGatehouseError, type Random } from "../core/index.ts";
import { ensurePrivateDir, type HomeLayout, removeFile } from "../files/index.ts";
import { DeviceIdentity, type IdentityFacts } from "../identity/index.ts";
import {
  type KeyProvider,
  keyFileProvider,
  parseRecipient,
  RECOVERY_KIND,
  recoveryRecipient,
} from "../keystore/index.ts";
import { type KeySlot, type Vault, vaultKeySlots } from "../vault/index.ts";

/** Replaces the recovery keys of a vault that is being made: one of an attempt that was cut short was never shown. */
export async function makeRecoverable(
  { layout, identity, vault }: { layout: HomeLayout; identity: DeviceIdentity; vault: Vault },
  { recipient, clock, random }: { recipient?: Uint8Array | undefined; clock: Clock; random: Random },
): Promise<void> {
  const stale = vault.keys.slots.filter(({ kind }) => kind === RECOVERY_KIND);
  for (const slot of stale) await dropRecovery(layout, vault.keys, slot);
  if (recipient !== undefined) {
    await addRecovery({ layout, identity, keys: vault.keys }, { recipient, random, createdAt: clock.now() });
  }
}

/** The identity's copy first: a slot stands for both. */
export async function addRecovery(
  {
    layout,
    identity,
    keys,
  }: { layout: HomeLayout; identity: DeviceIdentity; keys: Pick<Vault["keys"], "addSlot"> },
  { recipient, random, createdAt }: { recipient: Uint8Array; random: Random; createdAt: number },
): Promise<KeySlot> {
  const provider = recoveryRecipient({ recipient, random });
  await identity.keepCopy(layout.identityDir, copyName(recipient), { keys: provider, random });
  return await keys.addSlot(provider, createdAt);
}

/** Takes a slot away and, of a recovery key that has no other, the identity's copy. @throws vault.key-slots, file.io */
export async function dropRecovery(
  { identityDir }: HomeLayout,
  keys: Pick<Vault["keys"], "slots" | "removeSlot">,
  { number }: Pick<KeySlot, "number">,
): Promise<KeySlot> {
  const removed = await keys.removeSlot(number);
  const { recipient } = removed;
  if (recipient !== undefined && !keys.slots.some((slot) => slot.recipient === recipient)) {
    await removeFile(join(identityDir, copyName(parseRecipient(recipient))));
  }
  return removed;
}

/**
 * The identity of a home whose key file is lost, by the recovery key; sealed from then on under a new key file in `keyDir`.
 * @throws key.missing without a copy for that key, key.wrong, identity.damaged
 */
export async function restoreIdentity(
  { identityDir, vaultDir }: HomeLayout,
  { recovery, keyDir, random }: { recovery: KeyProvider; keyDir: string; random: Random },
): Promise<DeviceIdentity> {
  const keys = keyFileProvider({ dir: keyDir, random });
  await ensurePrivateDir(identityDir);
  const attempt = (name: string) =>
    DeviceIdentity.restore(identityDir, name, { from: recovery, keys, random });
  return await eachCopy(vaultDir, attempt);
}

/** Whether the recovery key opens a copy of the identity; nothing is changed. @throws as `restoreIdentity` */
export async function openIdentityCopy(
  { identityDir, vaultDir }: HomeLayout,
  recovery: KeyProvider,
): Promise<IdentityFacts> {
  return await eachCopy(vaultDir, async (name) => await DeviceIdentity.peek(identityDir, name, recovery));
}

async function eachCopy<Result>(
  vaultDir: string,
  attempt: (name: string) => Promise<Result>,
): Promise<Result> {
  let failure: unknown = new GatehouseError("key.missing", "no recovery key was made for this identity", {
    hint: "make one while the home still opens: gatehouse vault key add --recovery",
  });
  for (const { recipient } of await vaultKeySlots(vaultDir)) {
    if (recipient === undefined) continue;
    try {
      return await attempt(copyName(parseRecipient(recipient)));
    } catch (cause) {
      if (!isGatehouseError(cause, "key.wrong") && !isGatehouseError(cause, "file.not-found")) throw cause;
      failure = cause;
    }
  }
  throw failure;
}

/** Of the identity's copy for that recovery key, in the identity's folder. */
export function copyName(recipient: Uint8Array): string {
  return `recovery-${hex(recipient.subarray(0, 8))}.key`;
}
