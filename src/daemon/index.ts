export type { PolicySource } from "../authz/index.ts";
export { Daemon, type DaemonOptions, type DaemonReady } from "./daemon.ts";
export {
  addHomeKey,
  type HomeKeyOptions,
  homeKeyKinds,
  homeKeySlots,
  removeHomeKey,
  restoreHomeKeys,
  testRecovery,
} from "./home-keys.ts";
export { type InitOptions, type InitSummary, initHome } from "./init.ts";
export type { PairingDoorEvent } from "./pairing-door.ts";
export { checkPolicyTexts, type TriedRow, testPolicyTexts } from "./policy-lab.ts";
export { type RescueOptions, rescuePolicies } from "./rescue.ts";
export {
  type BackupInput,
  restoreBackup,
  type VerifiedBackup,
  verifyBackup,
} from "./restore-backup.ts";
export type { Effects } from "./storage.ts";
export type { WatchdogOptions } from "./watchdog.ts";
