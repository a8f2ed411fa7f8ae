export type { AuthorityDesk, AuthorityGeneration } from "./authority.ts";
export type { BackupDesk, BackupSummary } from "./backup.ts";
export { createRouter, type ServiceParts } from "./create-router.ts";
export type { DeviceDirectory, RenewalAnswer, RenewalWish } from "./device.ts";
export type { AuditTrail, DecisionMaker } from "./guard.ts";
export type { HealthFacts, SealedFacts } from "./health.ts";
export type { KeysDesk } from "./keys.ts";
export type {
  PairingWindowEvent,
  PairingWindows,
  PairingWindowWish,
  WaitingJoiner,
} from "./pairing.ts";
export type { Peer } from "./peer.ts";
export { createSealedRouter, type SealDesk, type SealedParts, type UnsealKey } from "./seal.ts";
