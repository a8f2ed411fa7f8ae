/** The questions of a gatehouse and what became of them, beside the records that keep them; bounded. */
import { GatehouseError, LIMITS, type Random } from "../core/index.ts";
import { decodeApproval, encodeApproval } from "./approval-format.ts";
import {
  type Approval,
  type ApprovalDecision,
  type ApprovalUse,
  decideApproval,
  expireApproval,
  isOpen,
  requestApproval,
  useApproval,
  withdrawApproval,
} from "./approvals.ts";

/** Where the records lie, each under its approval's id. */
export interface ApprovalRecords {
  get(key: string): Uint8Array | undefined;
  list(prefix: string): readonly { readonly key: string; readonly body: Uint8Array }[];
}

/** What is to be stored, all or nothing, while no other approval changes. */
export interface ApprovalPlan {
  readonly changes: readonly { readonly key: string; readonly body: Uint8Array | undefined }[];
  readonly result: Approval;
}

export interface ApprovalQuestion extends ApprovalUse {
  readonly arguments: Readonly<Record<string, string>>;
  readonly purpose?: string | undefined;
}

const PREFIX_CHARACTERS_MIN = 8;

/** Read-only but for `follow`; each change is planned here and stored by whoever holds the records. */
export class ApprovalBook {
  readonly #records: ApprovalRecords;
  readonly #random: Random;
  readonly #approvals = new Map<string, Approval>();
  /** Time does not go back for what has expired. */
  #latestAt = 0;

  /** @throws MalformedBytes for a record that is none. */
  constructor(records: ApprovalRecords, random: Random) {
    this.#records = records;
    this.#random = random;
    for (const { key, body } of records.list("")) this.#approvals.set(key, decodeApproval(body));
  }

  /** A record has changed. */
  follow(key: string): void {
    const body = this.#records.get(key);
    if (body === undefined) this.#approvals.delete(key);
    else this.#approvals.set(key, decodeApproval(body));
  }

  /** Newest first, as they are at `at`. */
  list(at: number): readonly Approval[] {
    const now = this.#advance(at);
    return [...this.#approvals.values()].map((approval) => expireApproval(approval, now)).sort(newestFirst);
  }

  get(id: string, at: number): Approval | undefined {
    const found = this.#approvals.get(id);
    return found === undefined ? undefined : expireApproval(found, this.#advance(at));
  }

  /** By id, or its first 8 characters or more. @throws GatehouseError `approval.not-found` */
  find(text: string, at: number): Approval {
    const id = text.toLowerCase();
    const fits =
      id.length < PREFIX_CHARACTERS_MIN
        ? []
        : [...this.#approvals.keys()].filter((key) => key.startsWith(id));
    const found = fits.length === 1 ? this.get(fits[0] ?? "", at) : undefined;
    if (found !== undefined) return found;
    throw noSuchApproval();
  }

  /** What was asked already for exactly that call, and can still be used. */
  openFor(use: ApprovalUse): Approval | undefined {
    return this.list(use.at).find((approval) => isOpen(approval) && isFor(approval, use));
  }

  /** As they were written, the one that expires first at the head. */
  get open(): readonly Approval[] {
    return [...this.#approvals.values()].filter(isOpen).sort((a, b) => a.expiresAt - b.expiresAt);
  }

  /** The question that is open already for that call is as good. @throws GatehouseError `approval.too-many` */
  planRequest(question: ApprovalQuestion): ApprovalPlan {
    const known = this.openFor(question);
    if (known !== undefined) return { changes: [], result: known };
    const open = this.list(question.at).filter(isOpen);
    const own = open.filter(({ requestedBy }) => requestedBy === question.requestedBy);
    if (own.length >= LIMITS.approvalsOpenPerDevice) throw tooMany("this device waits for", own.length);
    if (open.length >= LIMITS.approvalsOpen) throw tooMany("the gatehouse waits for", open.length);
    return this.#plan(requestApproval({ ...question, random: this.#random }), question.at);
  }

  /** @throws GatehouseError `approval.*` */
  planDecide(id: string, decision: ApprovalDecision): ApprovalPlan {
    return this.#plan(decideApproval(this.find(id, decision.at), decision), decision.at);
  }

  /** @throws GatehouseError `approval.*` */
  planUse(id: string, use: ApprovalUse): ApprovalPlan {
    return this.#plan(useApproval(this.find(id, use.at), use), use.at);
  }

  /** @throws GatehouseError `approval.*` */
  planWithdraw(id: string, by: string, at: number): ApprovalPlan {
    return this.#plan(withdrawApproval(this.find(id, at), by), at);
  }

  /** Once its time is over. @throws GatehouseError `approval.decided` when it has become something else meanwhile */
  planExpire(id: string, at: number): ApprovalPlan {
    const approval = this.find(id, at);
    if (approval.state === "expired") return this.#plan(approval, at);
    throw new GatehouseError("approval.decided", `the approval is ${approval.state}, not expired`);
  }

  /** What is over for long, or too many, goes. */
  #surplus(at: number): ApprovalPlan["changes"] {
    const since = at - LIMITS.approvalsKeptMs;
    return this.list(at)
      .filter((approval) => !isOpen(approval))
      .filter(({ requestedAt }, index) => index >= LIMITS.approvalsKept || requestedAt < since)
      .map(({ id }) => ({ key: id, body: undefined }));
  }

  #plan(result: Approval, at: number): ApprovalPlan {
    const surplus = this.#surplus(at).filter(({ key }) => key !== result.id);
    return { changes: [toChange(result), ...surplus], result };
  }

  #advance(at: number): number {
    this.#latestAt = Math.max(this.#latestAt, at);
    return this.#latestAt;
  }
}

/** In the same words for what there is not and for what somebody may not know of. */
export function noSuchApproval(): GatehouseError<"approval.not-found"> {
  return new GatehouseError("approval.not-found", "no such approval", {
    hint: "see which there are: gatehouse approval ls",
  });
}

function toChange(approval: Approval): { readonly key: string; readonly body: Uint8Array } {
  return { key: approval.id, body: encodeApproval(approval) };
}

function isFor(approval: Approval, use: ApprovalUse): boolean {
  return (
    approval.requestedBy === use.requestedBy &&
    approval.tool === use.tool &&
    approval.argumentsHash === use.argumentsHash &&
    approval.policyVersion === use.policyVersion
  );
}

function newestFirst(a: Approval, b: Approval): number {
  return b.requestedAt - a.requestedAt || (a.id < b.id ? -1 : 1);
}

function tooMany(who: string, count: number): GatehouseError<"approval.too-many"> {
  return new GatehouseError("approval.too-many", `${who} ${count} answers already`, {
    hint: "wait until some are decided, or withdraw one: gatehouse approval deny ID",
    retryAfterMs: 10_000,
  });
}
