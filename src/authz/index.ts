export { Authorizer, type AuthorizerOptions } from "./authorizer.ts";
export type { Decision } from "./decision.ts";
export { loadDefaultPolicies, loadDefaultSchema } from "./defaults.ts";
export type { PolicySource } from "./policy-set.ts";
export {
  ACTIONS,
  type Action,
  type AuthorizationRequest,
  type CallContext,
  type DeviceFacts,
  type Principal,
  type Resource,
} from "./request.ts";
