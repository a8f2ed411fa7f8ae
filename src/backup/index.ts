export { type BackupKey, checkRecipients } from "./age.ts";
export type { DeviceKey } from "./device-key.ts";
export type { Manifest, ManifestEntry } from "./manifest.ts";
export { type BackupReader, type ReadBackup, readBackup } from "./read.ts";
export type { ArchiveEntry } from "./untar.ts";
export { type DigestedVersion, VersionDigest } from "./version-digest.ts";
export { type BackupContents, writeBackup } from "./write.ts";
