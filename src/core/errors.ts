import { ERROR_CODES, type ErrorCode, STATUS } from "./error-codes.ts";

export interface ErrorDetails {
  /** What a person should do next; one sentence. */
  readonly hint?: string;
  /** What went wrong underneath; stays in this process. */
  readonly cause?: unknown;
  readonly retryAfterMs?: number;
}

/**
 * An expected failure: something a caller can meet and act on.
 *
 * `message` and `hint` are safe to show to a peer: no secrets, no paths of this machine
 * unless the person at the keyboard named them. `cause` never crosses the wire.
 */
export class GatehouseError<Code extends ErrorCode = ErrorCode> extends Error {
  override readonly name = "GatehouseError";
  readonly code: Code;
  readonly hint: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: Code, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.hint = details.hint;
    this.retryAfterMs = details.retryAfterMs;
  }

  /** gRPC status number, 1 to 16. */
  get status(): number {
    return STATUS[ERROR_CODES[this.code].status];
  }

  get exitCode(): number {
    return ERROR_CODES[this.code].exit;
  }

  get isRetryable(): boolean {
    return "retryable" in ERROR_CODES[this.code];
  }
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text);
}

/** True for a `GatehouseError`, of that code when one is named. */
export function isGatehouseError<Code extends ErrorCode>(
  value: unknown,
  code?: Code,
): value is GatehouseError<Code> {
  return value instanceof GatehouseError && (code === undefined || value.code === code);
}

/** A bug of ours. Nothing that a peer or a file can influence may reach it. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${message}`);
}
