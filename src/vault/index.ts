export { keyFileProvider, type ProvidedKey } from "../keystore/index.ts";
export type { AuditSink } from "./audit-sink.ts";
export type { CapturedVersion, VaultCapture } from "./capture.ts";
export type { Checkpointer, CheckpointTask } from "./checkpoint.ts";
export { localCheckpointer, threadCheckpointer } from "./checkpointer.ts";
export {
  type DeviceCertificate,
  type DeviceRow,
  type DeviceSight,
  type DeviceState,
  newestCertificate,
} from "./device-row.ts";
export { DEVICES_LOCK, Devices, type NewDevice, type RenewedCertificate } from "./devices.ts";
export type { KekProvider } from "./kek-provider.ts";
export type { KeySlot, LiveKeyring } from "./live-keyring.ts";
export type { Mutation } from "./mutations.ts";
export type { StartupReport } from "./open-store.ts";
export { AlreadyAnswered, RememberedReplies, type RememberedReply, type Replay } from "./replies.ts";
export {
  Rotation,
  type RotationEnd,
  type RotationKind,
  type RotationProgress,
  type RotationWish,
} from "./rotation.ts";
export type { SecretPage } from "./secret-listing.ts";
export {
  type FolderPath,
  folderOf,
  foldersOf,
  parseFolderPath,
  parseSecretPath,
  type SecretPath,
} from "./secret-path.ts";
export type {
  DestroyInput,
  Labels,
  ListInput,
  PutInput,
  SecretEntry,
  SecretValue,
  SecretVersion,
  VersionName,
} from "./secret-types.ts";
export { Secrets } from "./secrets.ts";
export { type Setting, Settings } from "./settings.ts";
export { Shelf, type ShelfPlan, type ShelfRecord } from "./shelf.ts";
export {
  type ListRange,
  type Plan,
  recordBytes,
  type StoredRecord,
  type StoreListener,
  type VaultState,
  type VaultStore,
} from "./store.ts";
export type { Change, Space, Transaction } from "./transaction.ts";
export { type UserRow, Users } from "./users.ts";
export { Vault, type VaultLimits, type VaultOptions } from "./vault.ts";
export { type AppendHandle, systemFiles, type VaultFiles } from "./vault-files.ts";
export { openVaultKeyring, vaultKeyKinds, vaultKeySlots } from "./vault-folder.ts";
