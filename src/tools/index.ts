export {
  ApprovalBook,
  type ApprovalPlan,
  type ApprovalQuestion,
  type ApprovalRecords,
  noSuchApproval,
} from "./approval-book.ts";
export { decodeApproval, encodeApproval } from "./approval-format.ts";
export { isApprovalId } from "./approval-id.ts";
export {
  APPROVAL_STATES,
  type Approval,
  type ApprovalDecision,
  type ApprovalRequest,
  type ApprovalState,
  type ApprovalUse,
  decideApproval,
  expireApproval,
  isOpen,
  requestApproval,
  useApproval,
  withdrawApproval,
} from "./approvals.ts";
export { type BoundCall, bindCall } from "./bind.ts";
export type { ConfigPlace } from "./config-table.ts";
export type {
  BooleanParameter,
  ChoiceParameter,
  CommandElement,
  CommandPart,
  IntegerParameter,
  StringParameter,
  ToolAccount,
  ToolDefinition,
  ToolLimits,
  ToolParameter,
  ToolSandbox,
} from "./definition.ts";
export { type ApprovalDocument, type ApprovalEntry, approvalDocument } from "./document.ts";
export { parseTools } from "./parse-tools.ts";
export { hasBubblewrap } from "./programs.ts";
export { checkRunnable, type ToolHost } from "./runnable.ts";
export { type RunOptions, ToolRunner, type ToolRunnerInput } from "./runner.ts";
export { Scrubber } from "./scrubber.ts";
export type {
  ToolEndedEvent,
  ToolEndReason,
  ToolEvent,
  ToolOutputEvent,
  ToolStartedEvent,
} from "./tool-events.ts";
