/**
 * Approvals as values: an approval is changed by functions that answer a new one, and whoever keeps them replaces one by
 * the other only while nobody else has. Time is an argument, in Unix ms.
 *
 * pending → approved → used
 * pending → denied
 * pending, approved → expired, withdrawn
 */

import { GatehouseError, LIMITS, type Random, systemRandom } from "../core/index.ts";
import { newApprovalId } from "./approval-id.ts";

export const APPROVAL_STATES = ["pending", "approved", "denied", "used", "expired", "withdrawn"] as const;
export type ApprovalState = (typeof APPROVAL_STATES)[number];

/** A question about one call, and what became of it. Frozen. */
export interface Approval {
  /** 26 lower-case base32 characters, 128 random bits. */
  readonly id: string;
  readonly tool: string;
  /** Canonical, as they were bound: what an approver reads. */
  readonly arguments: Readonly<Record<string, string>>;
  /** Of the bound call: what is approved. */
  readonly argumentsHash: string;
  readonly policyVersion: number;
  /** Device id. */
  readonly requestedBy: string;
  /** What it said that the call was for. */
  readonly purpose: string | undefined;
  readonly requestedAt: number;
  /** Of the question; once approved, of the answer. */
  readonly expiresAt: number;
  readonly state: ApprovalState;
  /** Device id; with `decidedAt` from the decision on. */
  readonly decidedBy: string | undefined;
  readonly decidedAt: number | undefined;
  readonly reason: string | undefined;
}

export interface ApprovalRequest
  extends Pick<Approval, "tool" | "arguments" | "argumentsHash" | "policyVersion" | "requestedBy"> {
  readonly at: number;
  /** For people, like a decision's reason. */
  readonly purpose?: string | undefined;
  /** 10 minutes by default, 1 hour at most. */
  readonly lifetimeMs?: number;
  readonly random?: Random;
}

export interface ApprovalDecision {
  /** Device id. */
  readonly by: string;
  readonly verdict: "approved" | "denied";
  readonly at: number;
  /** For people: control characters go, and what is above 256 characters. */
  readonly reason?: string | undefined;
}

export interface ApprovalUse
  extends Pick<Approval, "tool" | "argumentsHash" | "policyVersion" | "requestedBy"> {
  readonly at: number;
}

/** @throws RangeError for a lifetime that is none, or above 1 hour. */
export function requestApproval(request: ApprovalRequest): Approval {
  const { at, lifetimeMs = LIMITS.toolApprovalMs, random = systemRandom } = request;
  if (!Number.isSafeInteger(lifetimeMs) || lifetimeMs < 1 || lifetimeMs > LIMITS.toolApprovalMsMax) {
    throw new RangeError(`requestApproval: lifetimeMs ${lifetimeMs} is not 1 to ${LIMITS.toolApprovalMsMax}`);
  }
  return Object.freeze({
    ...{ id: newApprovalId(random), tool: request.tool, argumentsHash: request.argumentsHash },
    arguments: Object.freeze(Object.fromEntries(Object.entries(request.arguments))),
    ...{ policyVersion: request.policyVersion, requestedBy: request.requestedBy },
    purpose: cleanReason(request.purpose),
    ...{ requestedAt: at, expiresAt: at + lifetimeMs, state: "pending" },
    ...{ decidedBy: undefined, decidedAt: undefined, reason: undefined },
  });
}

/**
 * An approved one is good for 300 s.
 *
 * @throws GatehouseError `approval.self` when the device that asked decides, `approval.expired`, `approval.decided`.
 */
export function decideApproval(approval: Approval, { by, verdict, at, reason }: ApprovalDecision): Approval {
  if (by === approval.requestedBy) {
    throw failure("approval.self", "whoever asked cannot decide", "another device with approval:decide must");
  }
  switch (approval.state) {
    case "pending":
      break;
    case "expired":
      throw expired();
    case "approved":
    case "denied":
    case "used":
    case "withdrawn":
      throw failure(
        "approval.decided",
        `the approval is ${approval.state} already`,
        "nothing is left to decide",
      );
  }
  if (isDue(approval, at)) throw expired();
  const expiresAt = verdict === "approved" ? at + LIMITS.toolApprovalUseMs : approval.expiresAt;
  const decided = { state: verdict, decidedBy: by, decidedAt: at, reason: cleanReason(reason), expiresAt };
  return Object.freeze({ ...approval, ...decided });
}

/**
 * The approval, used up by the call that it was given for.
 *
 * @throws GatehouseError `approval.mismatch` for another caller, tool or arguments, `approval.required` while nobody has
 * decided, `approval.denied`, `approval.used`, `approval.expired`, `approval.stale` when policies changed since.
 */
export function useApproval(approval: Approval, use: ApprovalUse): Approval {
  const isMeant =
    use.requestedBy === approval.requestedBy &&
    use.tool === approval.tool &&
    use.argumentsHash === approval.argumentsHash;
  if (!isMeant) {
    throw failure("approval.mismatch", "the approval is for another call", "ask for one for this call");
  }
  refuseUnusable(approval, use.at);
  if (use.policyVersion !== approval.policyVersion) {
    throw failure("approval.stale", "policies changed since the approval was asked for", ASK_AGAIN);
  }
  return Object.freeze({ ...approval, state: "used" });
}

/** Expired when its time is over; otherwise as it was. */
export function expireApproval(approval: Approval, at: number): Approval {
  return isOpen(approval) && isDue(approval, at)
    ? Object.freeze({ ...approval, state: "expired" })
    : approval;
}

/**
 * By the device that asked, as long as it was not used.
 *
 * @throws GatehouseError `approval.mismatch` for another device, `approval.decided` when nothing is left to withdraw.
 */
export function withdrawApproval(approval: Approval, by: string): Approval {
  if (by !== approval.requestedBy) {
    throw failure("approval.mismatch", "only whoever asked may withdraw", "deny it instead");
  }
  if (isOpen(approval)) return Object.freeze({ ...approval, state: "withdrawn" });
  throw failure(
    "approval.decided",
    `the approval is ${approval.state} already`,
    "nothing is left to withdraw",
  );
}

/** Whether anything can still become of it. */
export function isOpen({ state }: Approval): boolean {
  return state === "pending" || state === "approved";
}

const ASK_AGAIN = "ask again";

function isDue({ expiresAt }: Approval, at: number): boolean {
  return at >= expiresAt;
}

function refuseUnusable(approval: Approval, at: number): void {
  switch (approval.state) {
    case "denied":
      throw failure("approval.denied", "the call was denied", approval.reason ?? "ask whoever denied it why");
    case "used":
      throw failure("approval.used", "the approval was used already", "each call needs one of its own");
    case "withdrawn":
      throw failure("approval.denied", "the question was withdrawn", ASK_AGAIN);
    case "expired":
      throw expired();
    case "pending":
    case "approved":
      if (isDue(approval, at)) throw expired();
  }
  if (approval.state === "pending") {
    const hint = `another device must decide: gatehouse approval approve ${approval.id}`;
    throw failure("approval.required", "nobody has decided on the call yet", hint);
  }
}

function expired(): GatehouseError<"approval.expired"> {
  return failure("approval.expired", "the approval's time is over", ASK_AGAIN);
}

function failure<Code extends `approval.${string}` & GatehouseError["code"]>(
  code: Code,
  message: string,
  hint: string,
): GatehouseError<Code> {
  return new GatehouseError(code, message, { hint });
}

/** What would steer a terminal or reorder words is a space. */
function cleanReason(reason: string | undefined): string | undefined {
  const clean = (reason ?? "").replace(/[\p{Cc}\p{Cs}\u2028-\u202E\u2066-\u2069]/gu, " ").trim();
  const characters = Array.from(clean).slice(0, LIMITS.toolApprovalReasonLength);
  return characters.length === 0 ? undefined : characters.join("");
}
