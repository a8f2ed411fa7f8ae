import { GatehouseError, isErrorCode, isGatehouseError } from "../core/index.ts";
import type { Close } from "./frame.ts";

/** Characters of a peer's sentence that we take; ours are far shorter. */
const SENTENCE_CHARS = 1_000;

/** What a peer is told of a failure: all of it when it was expected, nothing of it when it was not. */
export function closeOf(failure: unknown): Close {
  const error = isGatehouseError(failure)
    ? failure
    : new GatehouseError("rpc.internal", "the gatehouse failed to answer", {
        hint: "its log says why",
      });
  return {
    status: error.status,
    code: error.code,
    message: error.message.slice(0, SENTENCE_CHARS),
    hint: (error.hint ?? "").slice(0, SENTENCE_CHARS),
    retryAfterMs: Math.min(Math.max(0, Math.round(error.retryAfterMs ?? 0)), 0xffff_ffff),
  };
}

/** The error that a close stands for; undefined for success. */
export function errorOf(close: Close): GatehouseError | undefined {
  if (close.status === 0) return undefined;
  const details = {
    ...(close.hint === "" ? {} : { hint: printable(close.hint) }),
    ...(close.retryAfterMs === 0 ? {} : { retryAfterMs: close.retryAfterMs }),
  };
  const message = printable(close.message);
  if (isErrorCode(close.code)) return new GatehouseError(close.code, message, details);
  return new GatehouseError(
    "rpc.unknown-error",
    `${printable(close.code) || `status ${close.status}`}: ${message}`,
    details,
  );
}

/** A peer's words end in a terminal: no control or direction characters, and an end. */
function printable(text: string): string {
  return text.slice(0, SENTENCE_CHARS).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "");
}
