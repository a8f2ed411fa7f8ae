export { Authorizer, type AuthorizerOptions } from "./authorizer.ts";
export { type CheckOptions, checkPolicies, type PolicyFinding } from "./check.ts";
export { CONTEXT_ATTRIBUTES, type ContextAttribute } from "./context.ts";
export type { Decision } from "./decision.ts";
export { loadDefaultPolicies, loadDefaultSchema } from "./defaults.ts";
export type { DecidingPolicy, Explanation, HeldClause } from "./explain.ts";
export type { Missing, NearPermit } from "./nearest.ts";
export type { PolicySourceFacts } from "./policy-records.ts";
export type { EntityName, PolicyLink, PolicySource, PolicyText } from "./policy-set.ts";
export {
  type PolicyAuthor,
  type PolicyChange,
  type PolicyHistoryEntry,
  type PolicyPlan,
  type PolicyRecords,
  type PolicySetFacts,
  PolicyStore,
} from "./policy-store.ts";
export {
  type PolicyTable,
  parsePolicyTable,
  runPolicyTable,
  type TableExpectation,
  type TableResult,
  type TableRow,
} from "./policy-table.ts";
export type { PolicyFacts } from "./read-policy.ts";
export type { RecordedRequest } from "./recorded-request.ts";
export {
  ACTIONS,
  type Action,
  type Approval,
  type AuthorizationRequest,
  type CallContext,
  type DeviceFacts,
  type Principal,
  type Resource,
} from "./request.ts";
export { RequestRecorder } from "./request-recorder.ts";
export {
  type DecisionMaker,
  type ShadowDecision,
  type ShadowOptions,
  type ShadowReport,
  type ShadowRow,
  shadow,
} from "./shadow.ts";
