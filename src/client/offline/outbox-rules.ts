/** What may wait in an outbox, and what the end of an attempt means for it. */
import { type ErrorCode, GatehouseError, LIMITS } from "../../core/index.ts";
import { METHODS, type MethodDefinition } from "../../gen/index.ts";
import { REQUEST_ID_BYTES } from "../../rpc/index.ts";
import type { Outcome } from "./outbox-format.ts";
import type { EnqueueOptions } from "./outbox-types.ts";

const { Device, Policy, Users, Vault } = METHODS;

/** Changes whose replies a gatehouse keeps with them, on its disk: the same request again does nothing twice. */
const REMEMBERED: ReadonlySet<string> = new Set(
  [
    ...[Vault.Put, Vault.Remove, Vault.Undelete, Vault.Destroy],
    ...[Device.Revoke, Device.Release, Device.Rename, Device.Grant, Device.Ungrant, Device.Assign],
    ...[Device.Readmit, Users.Add, Users.Remove, Users.Grant, Users.Ungrant],
    ...[Policy.Put, Policy.Remove, Policy.Rollback],
  ].map(({ path }) => path),
);

/** Says nothing of the call, which is tried again. */
const LATER = new Set<ErrorCode>([
  ...(["quic.unreachable", "quic.timed-out", "quic.closed", "quic.limit"] as const),
  // Somebody else answers at its address: another network's machine, say.
  "quic.wrong-server",
  // Anybody on the link may say so, and it may pass: the certificate is renewed, the device readmitted.
  ...(["quic.not-admitted", "certificate.expired", "certificate.untrusted"] as const),
  ...(["rpc.deadline", "rpc.draining", "rpc.too-early", "rpc.rate-limited", "rpc.overloaded"] as const),
  // Of this home, not of the gatehouse.
  ...(["file.io", "file.damaged", "home.bad-permissions"] as const),
]);

/** Of those: nothing was done. Of the others that is not known. */
const NOT_DONE = new Set<ErrorCode>([
  ...([
    "quic.unreachable",
    "quic.wrong-server",
    "rpc.too-early",
    "rpc.rate-limited",
    "rpc.overloaded",
  ] as const),
  ...(["file.io", "file.damaged", "home.bad-permissions"] as const),
]);

/**
 * Told by a gatehouse only when it does not remember the request: it was not done before either. Others, such as a denial,
 * may come before it looks.
 */
const FIRST_TIME = new Set<ErrorCode>([
  ...(["vault.bad-path", "vault.too-large", "vault.not-found", "vault.version-not-found"] as const),
  ...(["vault.not-removed", "vault.version-conflict", "vault.full"] as const),
  ...(["usage.bad-argument", "rpc.bad-message", "rpc.too-large", "rpc.request-mismatch"] as const),
]);

/** @throws TypeError when `path` is no method that may wait */
export function checkMayWait(path: string): void {
  if (REMEMBERED.has(path)) return;
  throw new TypeError(`Outbox.enqueue: ${path} is no change that a gatehouse remembers by its request id`);
}

export function isForLater(failure: unknown): failure is GatehouseError {
  if (!(failure instanceof GatehouseError)) return false;
  return LATER.has(failure.code) || failure.retryAfterMs !== undefined;
}

/** Whether a call that was sent and ended so may have been carried out. */
export function leavesDoubt({ code, retryAfterMs }: GatehouseError): boolean {
  return !NOT_DONE.has(code) && retryAfterMs === undefined;
}

/** What is told of a call that ended with `failure` when an earlier attempt was not answered. */
export function afterDoubt(failure: GatehouseError): GatehouseError {
  if (FIRST_TIME.has(failure.code)) return failure;
  return new GatehouseError(
    "rpc.outcome-unknown",
    `it may have been done: its first answer was lost, and asking again ended with ${failure.code}`,
    { hint: "look at what it was to change before asking for it again", cause: failure },
  );
}

export function forgotten(): GatehouseError<"rpc.outcome-unknown"> {
  return new GatehouseError(
    "rpc.outcome-unknown",
    "it was sent so long ago that the gatehouse may not remember it, and is not sent again",
    { hint: "look at what it was to change before asking for it again" },
  );
}

/** Its file is not there any more, nor an answer. */
export function vanished(): GatehouseError<"rpc.outcome-unknown"> {
  return new GatehouseError(
    "rpc.outcome-unknown",
    "it does not wait any more, and nobody has left its answer",
    { hint: "another process has found it damaged, or somebody has removed it" },
  );
}

export function idInUse(): GatehouseError<"rpc.request-mismatch"> {
  return new GatehouseError("rpc.request-mismatch", "a call with this request id waits already", {
    hint: "choose a new request id for each call",
  });
}

/** @throws what the call ended with; rpc.bad-message */
export function responseOf<RequestFields, Request, ResponseFields, Response>(
  method: MethodDefinition<"unary", RequestFields, Request, ResponseFields, Response>,
  outcome: Outcome,
): Response {
  if (outcome.kind === "failed") throw outcome.error;
  try {
    return method.response.decode(outcome.response);
  } catch (cause) {
    throw new GatehouseError("rpc.bad-message", "the gatehouse's answer cannot be read", { cause });
  }
}

/** A copy. @throws RangeError */
export function requestIdOf(requestId: Uint8Array): Uint8Array {
  if (requestId.length === REQUEST_ID_BYTES) return new Uint8Array(requestId);
  throw new RangeError(`Outbox.enqueue: requestId of ${requestId.length} bytes, not ${REQUEST_ID_BYTES}`);
}

/** Whole milliseconds. @throws RangeError */
export function timeoutOf({ timeoutMs = LIMITS.callTimeoutMs }: EnqueueOptions): number {
  if (!(timeoutMs > 0)) throw new RangeError(`Outbox.enqueue: timeoutMs must be above 0, not ${timeoutMs}`);
  return Math.ceil(Math.min(timeoutMs, LIMITS.callTimeoutMaxMs));
}

/** @throws rpc.too-large */
export function checkFits(request: Uint8Array): void {
  if (request.length <= LIMITS.messageBytes) return;
  throw new GatehouseError("rpc.too-large", `a message is larger than ${LIMITS.messageBytes} bytes`);
}

export function stillWaiting(): GatehouseError<"quic.closed"> {
  return new GatehouseError(
    "quic.closed",
    "this client was closed; the call waits on in this home's outbox",
    {
      hint: "the next client of this home sends it: Client.outbox.drain",
    },
  );
}
