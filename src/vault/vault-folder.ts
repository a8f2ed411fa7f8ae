import { isGatehouseError, type Random } from "../core/index.ts";
import { RECOVERY_KIND } from "../keystore/index.ts";
import { damaged } from "./damage.ts";
import { parseHeader } from "./header-format.ts";
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES } from "./journal-format.ts";
import type { KekProvider } from "./kek-provider.ts";
import { createKeyring, openKeyring, sealKeyring } from "./keyring.ts";
import { headerPath, parseFolder, segmentPath, type VaultFolder } from "./layout.ts";
import { type KeySlot, keySlotOf, LiveKeyring } from "./live-keyring.ts";
import { firstPosition, storageKeys } from "./storage-keys.ts";
import { systemFiles, type VaultFiles } from "./vault-files.ts";

/**
 * Whether `dir` holds a vault; makes the folder if need be.
 * @throws GatehouseError `vault.damaged` when only its header is missing.
 */
export async function hasVault(files: VaultFiles, dir: string): Promise<boolean> {
  const folder = parseFolder(await files.list(dir));
  if (folder.hasHeader) return true;
  const isUntouched = folder.snapshots.length === 0 && (await hasEmptyJournal(files, dir, folder));
  if (!isUntouched) throw damaged(headerPath(dir), 0, "it is missing");
  return false;
}

/** Makes key, first segment and, last of all, the header: from then on it is a vault. */
export async function createVault(input: {
  readonly files: VaultFiles;
  readonly dir: string;
  readonly provider: KekProvider;
  readonly random: Random;
  readonly createdAt: number;
}): Promise<void> {
  const { files, dir } = input;
  const state = await createKeyring(input);
  const keys = storageKeys({ vaultId: state.vaultId, root: state.contents.root });
  const segment = encodeSegmentHeader(keys, 1, firstPosition(state.vaultId));
  // An attempt that was cut short may have left an empty one.
  await files.replace(segmentPath(dir, 1), segment);
  await files.create(headerPath(dir), sealKeyring(state, input.random));
}

/**
 * Kinds of the key providers that open the vault in `dir` in daily use, so without recovery keys; none where there is no
 * vault. @throws vault.damaged, file.io
 */
export async function vaultKeyKinds(
  dir: string,
  files: VaultFiles = systemFiles,
): Promise<readonly string[]> {
  const slots = await vaultKeySlots(dir, files);
  return slots.map(({ kind }) => kind).filter((kind) => kind !== RECOVERY_KIND);
}

/** What the header in `dir` says of itself, its seal unchecked; none where there is no vault. @throws vault.damaged, file.io */
export async function vaultKeySlots(
  dir: string,
  files: VaultFiles = systemFiles,
): Promise<readonly KeySlot[]> {
  const path = headerPath(dir);
  try {
    return parseHeader(path, await files.read(path)).slots.map(keySlotOf);
  } catch (failure) {
    if (isGatehouseError(failure, "file.not-found")) return [];
    throw failure;
  }
}

/** The vault's keys alone, its records untouched. The caller holds the home's lock if it changes them. @throws as `Vault.open` */
export async function openVaultKeyring(
  dir: string,
  provider: KekProvider,
  { files = systemFiles, random }: { readonly files?: VaultFiles; readonly random: Random },
): Promise<LiveKeyring> {
  const path = headerPath(dir);
  const state = await openKeyring(path, await files.read(path), provider);
  return new LiveKeyring(state, { random, save: (file) => files.replace(path, file) });
}

async function hasEmptyJournal(files: VaultFiles, dir: string, { segments }: VaultFolder): Promise<boolean> {
  if (segments.length === 0) return true;
  if (segments.length > 1 || segments[0] !== 1) return false;
  return (await files.read(segmentPath(dir, 1))).length === SEGMENT_HEADER_BYTES;
}
