export type { ApprovalDesk } from "./approvals.ts";
export type { AuthorityDesk, AuthorityGeneration } from "./authority.ts";
export type { BackupDesk, BackupSummary } from "./backup.ts";
export { createRouter, type ServiceParts } from "./create-router.ts";
export type { DeviceDirectory, RenewalAnswer, RenewalWish } from "./device.ts";
export { absentRequest } from "./granted-call.ts";
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
export type { PolicyDesk, PolicyWish, Recorded } from "./policy.ts";
export type { RateLimits } from "./rates.ts";
export { resourceName } from "./resource-name.ts";
export { createSealedRouter, type SealDesk, type SealedParts, type UnsealKey } from "./seal.ts";
export { ALL_POLICIES } from "./subject.ts";
export type { ToolShop } from "./tool-parts.ts";
export type { UserDirectory } from "./users.ts";
