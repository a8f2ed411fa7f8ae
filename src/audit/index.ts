export { type AuditEntry, AuditLog, type AuditLogOptions } from "./audit-log.ts";
export { AuditDamage, type DamagePlace } from "./damage.ts";
export {
  type AuditEvent,
  type AuditFields,
  type AuditOutcome,
  decodeAuditEvent,
  encodeAuditEvent,
} from "./event.ts";
export { type Verification, verifyAuditLog } from "./log-reader.ts";
export { type AuditHead, type AuditRecord, extend as extendChain, recordHash } from "./record.ts";
