import { isGatehouseError, type Random } from "../core/index.ts";
import { damaged } from "./damage.ts";
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES } from "./journal-format.ts";
import type { KekProvider } from "./kek-provider.ts";
import { createKeyring, type Keyring, keyKindsOf, openKeyring } from "./keyring.ts";
import { headerPath, parseFolder, segmentPath, type VaultFolder } from "./layout.ts";
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
  const { keyring, file } = await createKeyring(input);
  const segment = encodeSegmentHeader(storageKeys(keyring), 1, firstPosition(keyring.vaultId));
  // An attempt that was cut short may have left an empty one.
  await files.replace(segmentPath(dir, 1), segment);
  await files.create(headerPath(dir), file);
}

/** Kinds of the key providers that open the vault in `dir`; none where there is no vault. @throws vault.damaged, file.io */
export async function vaultKeyKinds(
  dir: string,
  files: VaultFiles = systemFiles,
): Promise<readonly string[]> {
  const path = headerPath(dir);
  try {
    return keyKindsOf(path, await files.read(path));
  } catch (failure) {
    if (isGatehouseError(failure, "file.not-found")) return [];
    throw failure;
  }
}

export async function openVaultKeyring(
  files: VaultFiles,
  dir: string,
  provider: KekProvider,
): Promise<Keyring> {
  const path = headerPath(dir);
  return await openKeyring(path, await files.read(path), provider);
}

async function hasEmptyJournal(files: VaultFiles, dir: string, { segments }: VaultFolder): Promise<boolean> {
  if (segments.length === 0) return true;
  if (segments.length > 1 || segments[0] !== 1) return false;
  return (await files.read(segmentPath(dir, 1))).length === SEGMENT_HEADER_BYTES;
}
