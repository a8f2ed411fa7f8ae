import type { AuditEntry } from "../audit/index.ts";
import { Bell, GatehouseError } from "../core/index.ts";
import { type gatehouse, METHODS } from "../gen/index.ts";
import type { CallContext, Router } from "../rpc/index.ts";
import type { DeviceNames } from "./approvals.ts";
import type { Peer } from "./peer.ts";

/** The audit log, for those who may read it. */
export interface AuditReader {
  readonly head: { readonly sequence: number };
  /** Those after `after`, oldest first, up to the newest when reading begins. @throws audit.damaged */
  records(options: { readonly after: number }): AsyncIterable<AuditEntry>;
  /** `listener` gets what is written from now on, in order. */
  onWritten(listener: (entries: readonly AuditEntry[]) => void): Disposable;
}

export interface AuditServiceParts {
  readonly audit: AuditReader;
  readonly names: DeviceNames;
}

type ReadRequest = Pick<gatehouse.v1.AuditReadRequest, "after" | "newest" | "follow">;

const NEWEST = 20;
const NEWEST_MAX = 10_000;
/** Written while a follower has not read what came before. */
const WAITING_MAX = 1_000;

export function auditService(router: Router<Peer>, { audit, names }: AuditServiceParts): void {
  const record = ({ sequence, hash, event }: AuditEntry) => ({
    ...{ sequence, hash, event: { ...event, policies: [...event.policies] } },
    principalName: names.get(event.principal)?.name ?? "",
  });
  router.handle(METHODS.Audit.Read, async function* (request, context) {
    for await (const entry of request.follow ? followed(audit, request, context) : past(audit, request)) {
      yield record(entry);
    }
  });
}

function past(audit: AuditReader, request: ReadRequest): AsyncIterable<AuditEntry> {
  return audit.records({ after: startOf(audit, request) });
}

async function* followed(audit: AuditReader, request: ReadRequest, context: CallContext<Peer>) {
  const bell = new Bell();
  const waiting: AuditEntry[] = [];
  let isTooSlow = false;
  using _subscription = audit.onWritten((entries) => {
    isTooSlow ||= waiting.length + entries.length > WAITING_MAX;
    if (!isTooSlow) waiting.push(...entries);
    bell.ring();
  });
  context.onEnd(() => bell.ring());
  let last = startOf(audit, request);
  for await (const entry of audit.records({ after: last })) {
    last = entry.sequence;
    yield entry;
  }
  while (!context.signal.aborted) {
    for (let entry = waiting.shift(); entry !== undefined; entry = waiting.shift()) {
      if (entry.sequence > last) yield entry;
    }
    if (isTooSlow) throw tooSlow();
    await bell.rung();
  }
}

/** @throws usage.bad-argument */
function startOf({ head }: AuditReader, { after, newest }: ReadRequest): number {
  if (after !== null && after !== undefined) {
    if (Number.isSafeInteger(after)) return after;
    throw new GatehouseError("usage.bad-argument", "not a sequence of the audit log");
  }
  if (newest > NEWEST_MAX) {
    throw new GatehouseError("usage.bad-argument", `at most ${NEWEST_MAX} of the newest records at once`);
  }
  return Math.max(0, head.sequence - (newest === 0 ? NEWEST : newest));
}

function tooSlow(): GatehouseError<"rpc.overloaded"> {
  return new GatehouseError("rpc.overloaded", "the audit log grows faster than it is read", {
    hint: "go on from the last sequence that came",
    retryAfterMs: 1_000,
  });
}
