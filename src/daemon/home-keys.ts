/** The keys of a home that no daemon serves just now. */
import { type Clock, type Random, Resources } from "../core/index.ts";
import { checkPrivate, type HomeLayout, homeLayout, lockHome } from "../files/index.ts";
import { type KeyProvider, writeKeyPointer } from "../keystore/index.ts";
import {
  type KeySlot,
  type LiveKeyring,
  openVaultKeyring,
  vaultKeyKinds,
  vaultKeySlots,
} from "../vault/index.ts";
import { openServingIdentity } from "./home-identity.ts";
import { addRecovery, dropRecovery, openIdentityCopy, restoreIdentity } from "./recovery.ts";

export interface HomeKeyOptions {
  readonly home: string;
  /** Where key files lie; outside of the home. */
  readonly keyDir: string;
  /** What opens the vault now. */
  readonly kek: KeyProvider;
  readonly clock: Clock;
  readonly random: Random;
}

/** Kinds of the key providers that open the vault of `home`; none where no gatehouse was made. @throws vault.damaged, file.io */
export async function homeKeyKinds(home: string): Promise<readonly string[]> {
  return await vaultKeyKinds(homeLayout(home).vaultDir);
}

/** What the vault's header says of its keys, without opening it. @throws vault.damaged, file.io */
export async function homeKeySlots(home: string): Promise<readonly KeySlot[]> {
  return await vaultKeySlots(homeLayout(home).vaultDir);
}

/**
 * Adds a key that opens the vault: one that `added` makes, or the recovery key of `recipient`, which opens a copy of the
 * identity, too.
 * @throws home.in-use, vault.key-slots, vault.wrong-key, vault.key-missing, file.io, what `added` throws
 */
export async function addHomeKey(
  options: HomeKeyOptions,
  added: KeyProvider | { readonly recipient: Uint8Array },
): Promise<KeySlot> {
  return await withKeyring(options, async (layout, keys) => {
    const createdAt = options.clock.now();
    if (!("recipient" in added)) return await keys.addSlot(added, createdAt);
    const identity = await openServingIdentity(layout, "open", options);
    return await addRecovery({ layout, identity, keys }, { ...added, random: options.random, createdAt });
  });
}

/** @throws home.in-use, vault.key-slots for the last key that is no recovery key, and as `addHomeKey` */
export async function removeHomeKey(options: HomeKeyOptions, number: number): Promise<KeySlot> {
  return await withKeyring(options, (layout, keys) => dropRecovery(layout, keys, { number }));
}

/**
 * Proves that `recovery` opens this home, vault and identity both, and changes nothing; beside a running daemon, too.
 * @throws vault.wrong-key, key.wrong, key.missing, vault.damaged, identity.damaged
 */
export async function testRecovery(
  home: string,
  { recovery, random }: { readonly recovery: KeyProvider; readonly random: Random },
): Promise<{ readonly vaultId: string; readonly deviceId: string }> {
  const layout = homeLayout(home);
  await checkPrivate(layout.root);
  const { vaultId } = await openVaultKeyring(layout.vaultDir, recovery, { random });
  const { id: deviceId } = await openIdentityCopy(layout, recovery);
  return { vaultId, deviceId };
}

/**
 * Gives a home whose keys are lost new ones, by the recovery key in `kek`: the identity a new key file in `keyDir`, the vault
 * what `added` makes.
 * @throws as `addHomeKey`; key.wrong, key.missing
 */
export async function restoreHomeKeys(options: HomeKeyOptions, added: KeyProvider): Promise<KeySlot> {
  return await withKeyring(options, async (layout, keys) => {
    const { kek: recovery, keyDir, random, clock } = options;
    // Before anything is made: a key file that nobody needs would be left.
    await added.checkFree?.(keys.vaultId);
    await restoreIdentity(layout, { recovery, keyDir, random });
    await writeKeyPointer(layout.keyPointerFile, keyDir);
    return await keys.addSlot(added, clock.now());
  });
}

async function withKeyring<Result>(
  { home, kek, random }: HomeKeyOptions,
  work: (layout: HomeLayout, keys: LiveKeyring) => Promise<Result>,
): Promise<Result> {
  const layout = homeLayout(home);
  await checkPrivate(layout.root);
  await using resources = new Resources();
  resources.use(await lockHome(layout.lockFile));
  return await work(layout, await openVaultKeyring(layout.vaultDir, kek, { random }));
}
