/**
 * One call's frames, as schemas/gatehouse/v1/frame.proto states them.
 *
 * | bytes  | what                                                              |
 * | ------ | ----------------------------------------------------------------- |
 * | 1 to 3 | length of the frame, protobuf varint in its shortest form         |
 * | 1      | `0a` open, `12` message, `1a` close                               |
 * | 1 to 3 | length of that field, varint: reaches exactly to the frame's end  |
 * | n      | the field                                                         |
 *
 * Reading goes by hand where a frame has just this form (every frame of ours has) and through the generated
 * codec otherwise: a call costs four frames, and the generated codec's objects cost three times as much.
 */

import { GatehouseError, LIMITS } from "../core/index.ts";
import { gatehouse } from "../gen/index.ts";
import { varintAt } from "./varint.ts";

export interface Open {
  /** `/gatehouse.v1.Service/Method`. */
  readonly method: string;
  /** What the caller still grants; 0 means the server's own maximum. */
  readonly timeoutMs: number;
  /** 16 bytes, or undefined. */
  readonly requestId: Uint8Array | undefined;
  readonly traceparent: string;
}

export interface Close {
  /** gRPC status number; 0 is success. */
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  /** 0 when unknown. */
  readonly retryAfterMs: number;
}

export type Frame =
  | { readonly kind: "open"; readonly open: Open }
  | { readonly kind: "message"; readonly bytes: Uint8Array }
  | { readonly kind: "close"; readonly close: Close };

export const REQUEST_ID_BYTES = 16;
/** W3C Trace Context: 55 characters today, with room for a later version. */
const TRACEPARENT_CHARS = 128;

/** Left to the generated codec, which refuses what is not UTF-8. */
const NOT_ASCII = /[^\p{ASCII}]/u;

export const TAG = { open: 0x0a, message: 0x12, close: 0x1a } as const;

export const SUCCESS: Close = { status: 0, code: "", message: "", hint: "", retryAfterMs: 0 };
const SUCCESS_FRAME: Frame = { kind: "close", close: SUCCESS };

/**
 * Reads one frame without its length prefix. A message's bytes are a view of `payload`.
 * @throws GatehouseError `rpc.bad-frame` unless it is a frame of some kind within its bounds,
 * `rpc.too-large` for a message above the limit.
 */
export function readFrame(payload: Uint8Array): Frame {
  const field = varintAt(payload, 1);
  if (field === undefined || field.end + field.value !== payload.length) return readAnyFrame(payload);
  switch (payload[0] ?? 0) {
    case TAG.message:
      return messageFrame(payload.subarray(field.end));
    case TAG.open:
      return { kind: "open", open: readOpen(payload, field.end) };
    case TAG.close:
      return field.value === 0 ? SUCCESS_FRAME : readAnyFrame(payload);
    default:
      return readAnyFrame(payload);
  }
}

export function badFrame(message: string, cause?: unknown): GatehouseError<"rpc.bad-frame"> {
  return new GatehouseError("rpc.bad-frame", message, { cause });
}

function messageFrame(bytes: Uint8Array): Frame {
  if (bytes.length > LIMITS.messageBytes) {
    throw new GatehouseError("rpc.too-large", `a message is larger than ${LIMITS.messageBytes} bytes`);
  }
  return { kind: "message", bytes };
}

/** The form that our own callers send: each field at most once, in order, short lengths. */
function readOpen(payload: Uint8Array, start: number): Open {
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  let at = start;
  let method = "";
  let timeoutMs = 0;
  let requestId: Uint8Array | undefined;
  let traceparent = "";
  if (payload[at] === 0x0a) {
    const end = shortFieldEnd(payload, at);
    method = text.toString("utf8", at + 2, end);
    at = end;
  }
  if (payload[at] === 0x10) {
    const timeout = varintAt(payload, at + 1);
    if (timeout === undefined) return openOf(payload);
    timeoutMs = timeout.value;
    at = timeout.end;
  }
  if (payload[at] === 0x1a && payload[at + 1] === REQUEST_ID_BYTES) {
    requestId = new Uint8Array(payload.subarray(at + 2, at + 2 + REQUEST_ID_BYTES));
    at += 2 + REQUEST_ID_BYTES;
  }
  if (payload[at] === 0x22) {
    const end = shortFieldEnd(payload, at);
    traceparent = text.toString("utf8", at + 2, end);
    at = end;
  }
  if (at !== payload.length || NOT_ASCII.test(method) || NOT_ASCII.test(traceparent)) return openOf(payload);
  return checkedOpen({ method, timeoutMs, requestId, traceparent });
}

/** Where a field whose length fits one byte ends; NaN, which ends nowhere, when it does not fit. */
function shortFieldEnd(payload: Uint8Array, at: number): number {
  const length = payload[at + 1] ?? 0x80;
  return length < 0x80 ? at + 2 + length : Number.NaN;
}

function openOf(payload: Uint8Array): Open {
  const frame = readAnyFrame(payload);
  if (frame.kind !== "open") throw badFrame("a frame changed its kind");
  return frame.open;
}

/** The generated codec's reading of any valid encoding, unknown fields included. */
function readAnyFrame(payload: Uint8Array): Frame {
  const { open, message, close } = decode(payload);
  if (open) return { kind: "open", open: openFrom(open) };
  if (message) return messageFrame(message);
  if (close) return { kind: "close", close: closeFrom(close) };
  throw badFrame("a frame must open, carry a message or close");
}

function decode(payload: Uint8Array): gatehouse.v1.Frame.$Properties {
  try {
    return gatehouse.v1.Frame.decode(payload);
  } catch (cause) {
    throw badFrame("a frame does not decode", cause);
  }
}

function openFrom(open: gatehouse.v1.Open.$Properties): Open {
  const id = open.requestId ?? new Uint8Array();
  if (id.length !== 0 && id.length !== REQUEST_ID_BYTES) {
    throw badFrame(`a request id has ${REQUEST_ID_BYTES} bytes or none`);
  }
  return checkedOpen({
    method: open.method ?? "",
    timeoutMs: open.timeoutMs ?? 0,
    requestId: id.length === 0 ? undefined : new Uint8Array(id),
    traceparent: open.traceparent ?? "",
  });
}

function checkedOpen(open: Open): Open {
  if (open.method.length > LIMITS.methodNameBytes) throw badFrame("a method's name is too long");
  if (open.traceparent.length > TRACEPARENT_CHARS) throw badFrame("a traceparent is too long");
  return open;
}

function closeFrom(close: gatehouse.v1.Close.$Properties): Close {
  return {
    status: close.status ?? 0,
    code: close.code ?? "",
    message: close.message ?? "",
    hint: close.hint ?? "",
    retryAfterMs: close.retryAfterMs ?? 0,
  };
}
