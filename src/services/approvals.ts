import type { Resource } from "../authz/index.ts";
import { Bell, type Clock, GatehouseError, type JsonValue, LIMITS, patchBetween } from "../core/index.ts";
import { type gatehouse, METHODS } from "../gen/index.ts";
import type { CallContext, Router } from "../rpc/index.ts";
import {
  type Approval,
  type ApprovalDecision,
  type ApprovalQuestion,
  type ApprovalUse,
  approvalDocument,
  isOpen,
} from "../tools/index.ts";
import type { Mutation, Replay } from "../vault/index.ts";
import { isSamePerson } from "./approvers.ts";
import type { Granted, Guard } from "./guard.ts";
import { mutate } from "./mutate.ts";
import type { Peer } from "./peer.ts";
import type { ToolSubject } from "./subject.ts";

/** The questions of a gatehouse; each change is on disk when it settles. */
export interface ApprovalDesk {
  /** Newest first. */
  list(): readonly Approval[];
  /** By id, or its first 8 characters or more. @throws approval.not-found */
  find(text: string): Approval;
  /** What was asked already for exactly that call, and can still be used. */
  openFor(use: ApprovalUse): Approval | undefined;
  /** The question that is open already for that call is as good. @throws approval.too-many */
  request(question: ApprovalQuestion, mutation: Mutation<Approval>): Promise<Approval>;
  /** @throws approval.* */
  decide(id: string, decision: ApprovalDecision, mutation: Mutation<Approval>): Promise<Approval>;
  /** @throws approval.* */
  withdraw(id: string, by: string, mutation: Mutation<Approval>): Promise<Approval>;
  /** Writes down that a call begins and uses up its approval, if it has one. @throws approval.*; AlreadyAnswered */
  begin(use: (ApprovalUse & { readonly id: string }) | undefined, mutation: Mutation<void>): Promise<void>;
  /** @throws AlreadyAnswered; rpc.request-mismatch */
  checkNew(replay: Omit<Replay<never>, "reply">): void;
  /** Called after each change, and when something has expired. */
  onChange(listener: () => void): Disposable;
}

/** How devices are shown beside what they asked or decided. */
export interface DeviceNames {
  /** As they are on record now; undefined for one that is not. */
  get(
    id: string,
  ):
    | { readonly name: string; readonly roles: readonly string[]; readonly user: string | undefined }
    | undefined;
}

export interface ApprovalServiceParts {
  readonly guard: Guard;
  readonly approvals: ApprovalDesk;
  readonly names: DeviceNames;
  /** As declared now; a tool that is gone has no groups. */
  readonly toolOf: (name: string) => ToolSubject;
  readonly clock: Clock;
}

const LIST_MAX = 500;
/** Less than a message; those asked for last come first. */
const LIST_BYTES_MAX = 786_432;
const RECORD_OVERHEAD_BYTES = 8;

export function approvalService(
  router: Router<Peer>,
  { guard, approvals, names, toolOf, clock }: ApprovalServiceParts,
): void {
  const isVisible = (granted: Granted, { peer }: CallContext<Peer>, approval: Approval): boolean => {
    if (approval.requestedBy === peer.deviceId) return true;
    const resource: Resource = { kind: "tool", ...toolOf(approval.tool) };
    return granted.may("approval:list", resource) || granted.may("approval:decide", resource);
  };
  const visible = (context: CallContext<Peer>, all: readonly Approval[]): readonly Approval[] => {
    const granted = guard.granted(context);
    return all.filter((approval) => isVisible(granted, context, approval));
  };
  const open = () => approvals.list().filter(isOpen);
  const record = (approval: Approval) => approvalRecord(approval, names);

  router.handle(METHODS.Approvals.List, ({ includeEnded }, context) => {
    const all = visible(context, includeEnded ? approvals.list() : open());
    const shown = fitting(all.slice(0, LIST_MAX).map(record));
    return { approvals: shown, more: all.length - shown.length };
  });

  router.handle(METHODS.Approvals.Show, ({ id }, context) => {
    const [approval, granted] = [approvals.find(id), guard.granted(context)];
    if (isVisible(granted, context, approval)) return record(approval);
    throw granted.denial();
  });

  router.handle(METHODS.Approvals.Decide, async (request, context) => {
    const approval = approvals.find(request.id);
    const granted = guard.granted(context);
    const by = context.peer.deviceId;
    const verdict = request.approve ? "approved" : "denied";
    const isOwn = approval.requestedBy === by;
    if (isOwn && !request.approve) {
      const detail = { approval: approval.id, verdict: "withdrawn" };
      return await mutate(METHODS.Approvals.Decide, {
        ...{ context, request, granted, reply: record, event: () => granted.plainEvent("done", { detail }) },
        change: (mutation) => approvals.withdraw(approval.id, by, mutation),
      });
    }
    const decision = granted.decide();
    if (decision.kind !== "allow") throw await granted.deny(decision);
    const asker = { deviceId: approval.requestedBy, user: names.get(approval.requestedBy)?.user };
    if (request.approve && isSamePerson({ id: by, user: context.peer.facts()?.user }, asker)) throw ownCall();
    if (request.approve && request.argumentsHash !== approval.argumentsHash) throw otherCall();
    return await mutate(METHODS.Approvals.Decide, {
      ...{ context, request, granted, reply: record, detail: { approval: approval.id, verdict } },
      change: (mutation) =>
        approvals.decide(approval.id, { by, verdict, at: clock.now(), reason: request.comment }, mutation),
    });
  });

  const watches = new Map<string, number>();
  router.handle(METHODS.Approvals.Watch, (_request, context) => {
    occupyWatch(watches, context);
    const bell = new Bell();
    const document = (): JsonValue =>
      approvalDocument(visible(context, open()), (id) => names.get(id)?.name ?? "");
    // A right that came or went changes what there is to see.
    return guard.supervised(context, updates(document, { bell, approvals, context }), () => {
      bell.ring();
      return context.peer.facts() === undefined
        ? new GatehouseError("device.revoked", "this device is not welcome any more")
        : undefined;
    });
  });
}

async function* updates(
  documentNow: () => JsonValue,
  {
    bell,
    approvals,
    context,
  }: { readonly bell: Bell; readonly approvals: ApprovalDesk; readonly context: CallContext<Peer> },
) {
  using _subscription = approvals.onChange(() => bell.ring());
  context.onEnd(() => bell.ring());
  let document = documentNow();
  let revision = 1;
  yield { revision, document: JSON.stringify(document), patch: "" };
  while (!context.signal.aborted) {
    await bell.rung();
    if (context.signal.aborted) return;
    const next = documentNow();
    const patch = patchBetween(document, next);
    if (patch.length === 0) continue;
    revision += 1;
    document = next;
    yield patch.length > LIMITS.toolPatchOperations
      ? { revision, document: JSON.stringify(next), patch: "" }
      : { revision, document: "", patch: JSON.stringify(patch) };
  }
}

/** Each holds a document of its own. @throws rpc.overloaded */
function occupyWatch(watches: Map<string, number>, context: CallContext<Peer>): void {
  const { deviceId } = context.peer;
  const count = (watches.get(deviceId) ?? 0) + 1;
  if (count > LIMITS.approvalWatchesPerDevice) {
    throw new GatehouseError("rpc.overloaded", "this device watches approvals in too many calls", {
      hint: "end one of them",
      retryAfterMs: 1_000,
    });
  }
  watches.set(deviceId, count);
  context.onEnd(() => {
    const left = (watches.get(deviceId) ?? 1) - 1;
    if (left === 0) watches.delete(deviceId);
    else watches.set(deviceId, left);
  });
}

type RecordFields = gatehouse.v1.ApprovalRecord.$Properties;

/** As many as one answer holds. */
function fitting(records: readonly RecordFields[]): RecordFields[] {
  let sizeBytes = 0;
  const first = records.findIndex((record) => {
    sizeBytes += METHODS.Approvals.Show.response.encode(record).finish().length + RECORD_OVERHEAD_BYTES;
    return sizeBytes > LIST_BYTES_MAX;
  });
  return first === -1 ? [...records] : records.slice(0, first);
}

export function approvalRecord(approval: Approval, names: DeviceNames) {
  const { id, tool, argumentsHash, requestedBy, requestedAt, expiresAt, state } = approval;
  const { decidedBy = "", decidedAt = 0, reason = "", purpose = "" } = approval;
  const asker = names.get(requestedBy);
  return {
    ...{ id, tool, arguments: { ...approval.arguments }, argumentsHash, requestedBy, requestedAt, expiresAt },
    ...{ requestedByName: asker?.name ?? "", requestedByRoles: [...(asker?.roles ?? [])], state },
    ...{ decidedBy, decidedByName: names.get(decidedBy)?.name ?? "", decidedAt },
    ...{ reason: purpose, comment: reason },
  };
}

function ownCall(): GatehouseError<"approval.self"> {
  return new GatehouseError(
    "approval.self",
    "whoever asked cannot decide, with another device of theirs either",
    {
      hint: "somebody else with approval:decide must",
    },
  );
}

function otherCall(): GatehouseError<"approval.mismatch"> {
  return new GatehouseError("approval.mismatch", "the yes was meant for another call", {
    hint: "look at what is asked now: gatehouse approval show ID",
  });
}
