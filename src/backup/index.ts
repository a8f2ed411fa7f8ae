export { checkRecipients } from "./age.ts";
export type { ArchiveEntry } from "./archive.ts";
export type { Manifest, ManifestEntry } from "./manifest.ts";
export { type BackupReader, type ReadBackup, readBackup } from "./read.ts";
export { type BackupContents, writeBackup } from "./write.ts";
