import { type ErrorCode, LIMITS, type UnixMs, unixMs } from "../core/index.ts";
import { gatehouse } from "../gen/index.ts";

export type AuditOutcome = "allowed" | "denied" | "done" | "failed";

/** What a caller tells of an event; time and id are added by the log. Never holds a secret's value. */
export interface AuditFields {
  /** Canonical device id; absent when the gatehouse acted by itself. */
  readonly principal?: string | undefined;
  readonly principalRole?: string | undefined;
  /** As policies name it, such as `secret:reveal`. */
  readonly action: string;
  /** `kind:name`, such as `secret:shared/db` or `device:<id>`. */
  readonly resource: string;
  /** A decision is `allowed` or `denied`; what followed from one is `done` or `failed`. */
  readonly outcome: AuditOutcome;
  readonly code?: ErrorCode | undefined;
  /** Ids of the policies that decided; those past 64 are counted only. */
  readonly policies?: readonly string[] | undefined;
  readonly requestId?: Uint8Array | undefined;
  readonly wire?: "quic" | "grpc" | undefined;
  readonly remoteAddress?: string | undefined;
  /** At most 32 plain facts; keys `[A-Za-z][A-Za-z0-9:_.-]*` of at most 64 characters. */
  readonly detail?: Readonly<Record<string, string>> | undefined;
}

/** An event as the log holds it; empty text and bytes where nothing was told. */
export interface AuditEvent {
  readonly at: UnixMs;
  /** 16 bytes. */
  readonly eventId: Uint8Array;
  readonly principal: string;
  readonly principalRole: string;
  readonly action: string;
  readonly resource: string;
  readonly outcome: AuditOutcome;
  readonly code: string;
  readonly policies: readonly string[];
  readonly policiesOmitted: number;
  readonly requestId: Uint8Array;
  readonly wire: string;
  readonly remoteAddress: string;
  readonly detail: Readonly<Record<string, string>>;
}

const POLICIES_MAX = 64;
const DETAILS_MAX = 32;
const DETAIL_KEY = /^[A-Za-z][A-Za-z0-9:_.-]{0,63}$/;
const OUTCOMES: readonly string[] = ["allowed", "denied", "done", "failed"] satisfies readonly AuditOutcome[];

const codec = gatehouse.v1.AuditEvent;

/** @throws RangeError when the event is over `LIMITS.auditRecordBytes`, or has a detail too many or misnamed. */
export function encodeAuditEvent(fields: AuditFields, at: UnixMs, eventId: Uint8Array): Uint8Array {
  const { policies = [], detail = {} } = fields;
  const keys = Object.keys(detail);
  const stray = keys.find((key) => !DETAIL_KEY.test(key));
  if (keys.length > DETAILS_MAX) throw new RangeError(`audit event: ${keys.length} details`);
  if (stray !== undefined)
    throw new RangeError(`audit event: no detail can be named ${JSON.stringify(stray)}`);
  const bytes = codec
    .encode({
      at,
      eventId,
      principal: fields.principal ?? "",
      principalRole: fields.principalRole ?? "",
      action: fields.action,
      resource: fields.resource,
      outcome: fields.outcome,
      code: fields.code ?? "",
      policies: policies.length > POLICIES_MAX ? policies.slice(0, POLICIES_MAX) : [...policies],
      policiesOmitted: Math.max(0, policies.length - POLICIES_MAX),
      requestId: fields.requestId ?? new Uint8Array(0),
      wire: fields.wire ?? "",
      remoteAddress: fields.remoteAddress ?? "",
      detail: { ...detail },
    })
    .finish();
  checkEventSize(bytes);
  return bytes;
}

/** @throws RangeError above `LIMITS.auditRecordBytes`. */
export function checkEventSize(bytes: Uint8Array): void {
  if (bytes.length > LIMITS.auditRecordBytes) {
    throw new RangeError(`audit event: ${bytes.length} bytes, at most ${LIMITS.auditRecordBytes} are taken`);
  }
}

/** @throws TypeError when the bytes are no audit event. */
export function decodeAuditEvent(bytes: Uint8Array): AuditEvent {
  try {
    const message = codec.decode(bytes);
    const { outcome } = message;
    if (!isOutcome(outcome)) throw new TypeError("unknown outcome");
    return Object.freeze({
      at: unixMs(message.at),
      eventId: Uint8Array.from(message.eventId),
      principal: message.principal,
      principalRole: message.principalRole,
      action: message.action,
      resource: message.resource,
      outcome,
      code: message.code,
      policies: [...message.policies],
      policiesOmitted: message.policiesOmitted,
      requestId: Uint8Array.from(message.requestId),
      wire: message.wire,
      remoteAddress: message.remoteAddress,
      detail: { ...message.detail },
    });
  } catch (error) {
    throw new TypeError("not an audit event", { cause: error });
  }
}

function isOutcome(text: string): text is AuditOutcome {
  return OUTCOMES.includes(text);
}
