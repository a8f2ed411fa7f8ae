import { jsonBytes, LIMITS } from "../core/index.ts";
import type { Approval } from "./approvals.ts";

/** What an approver's app shows: plain JSON, at most 256 KiB, kept up to date by patches. */
export type ApprovalDocument = {
  readonly version: 1;
  /** By id; at most 64. */
  readonly approvals: { readonly [id: string]: ApprovalEntry };
  /** So many more are waiting than stand here. */
  readonly more: number;
};

export type ApprovalEntry = {
  readonly tool: string;
  readonly arguments: { readonly [name: string]: string };
  readonly argumentsHash: string;
  readonly requestedBy: string;
  /** What that device calls itself. */
  readonly requestedByName: string;
  /** What it said that it was for. */
  readonly purpose?: string;
  /** Unix ms, as the next. */
  readonly requestedAt: number;
  readonly expiresAt: number;
  readonly state: string;
  readonly decidedBy?: string;
  readonly decidedAt?: number;
  readonly reason?: string;
};

/** For braces, names and `more` around the entries. */
const FRAME_BYTES = 64;

/** Those that were asked for first stand in it; one that does not fit makes room for others. */
export function approvalDocument(
  approvals: readonly Approval[],
  nameOf: (deviceId: string) => string,
): ApprovalDocument {
  const entries: (readonly [string, ApprovalEntry])[] = [];
  let sizeBytes = FRAME_BYTES;
  for (const approval of approvals.toSorted(byAge)) {
    const entry = entryOf(approval, nameOf(approval.requestedBy));
    const entryBytes = jsonBytes({ [approval.id]: entry });
    if (entries.length >= LIMITS.toolDocumentApprovals) break;
    if (sizeBytes + entryBytes > LIMITS.toolDocumentBytes) continue;
    sizeBytes += entryBytes;
    entries.push([approval.id, entry]);
  }
  return { version: 1, approvals: Object.fromEntries(entries), more: approvals.length - entries.length };
}

function byAge(a: Approval, b: Approval): number {
  return a.requestedAt - b.requestedAt || (a.id < b.id ? -1 : 1);
}

function entryOf(approval: Approval, requestedByName: string): ApprovalEntry {
  const { tool, argumentsHash, requestedBy, requestedAt, expiresAt, state } = approval;
  const { decidedBy, decidedAt, reason, purpose } = approval;
  return {
    ...{ tool, arguments: approval.arguments, argumentsHash, requestedBy, requestedByName },
    ...(purpose === undefined ? {} : { purpose }),
    ...{ requestedAt, expiresAt, state },
    ...(decidedBy === undefined ? {} : { decidedBy }),
    ...(decidedAt === undefined ? {} : { decidedAt }),
    ...(reason === undefined ? {} : { reason }),
  };
}
