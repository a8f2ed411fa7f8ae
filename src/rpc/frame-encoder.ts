import { copyOf, GatehouseError, LIMITS } from "../core/index.ts";
import { gatehouse } from "../gen/index.ts";
import { type Close, type Open, TAG } from "./frame.ts";
import { putVarint, varintSize } from "./varint.ts";

/** `Close{}` with its length: success. */
const SUCCESS_BYTES = Uint8Array.of(2, TAG.close, 0);
const EMPTY = new Uint8Array();

export function encodeOpen(open: Open): Uint8Array {
  return encodeFields(encodeOpenField(open), undefined, EMPTY);
}

/** Open and the only request in one piece. @throws GatehouseError `rpc.too-large`. */
export function encodeCall(open: Open, request: Uint8Array): Uint8Array {
  return encodeFields(encodeOpenField(open), checkedMessage(request), EMPTY);
}

/** @throws GatehouseError `rpc.too-large` above `LIMITS.messageBytes`. */
export function encodeMessage(message: Uint8Array): Uint8Array {
  return encodeFields(undefined, checkedMessage(message), EMPTY);
}

/**
 * What stands in a message's frame before its `sizeBytes` bytes, for wires that learn the size first.
 * @throws GatehouseError `rpc.too-large` above `LIMITS.messageBytes`.
 */
export function encodeMessageHead(sizeBytes: number): Uint8Array {
  checkMessageSize(sizeBytes);
  const payloadBytes = 1 + varintSize(sizeBytes) + sizeBytes;
  const head = new Uint8Array(varintSize(payloadBytes) + 1 + varintSize(sizeBytes));
  const at = putVarint(head, 0, payloadBytes);
  head[at] = TAG.message;
  putVarint(head, at + 1, sizeBytes);
  return head;
}

/** The only response and success in one piece. @throws GatehouseError `rpc.too-large`. */
export function encodeAnswer(response: Uint8Array): Uint8Array {
  return encodeFields(undefined, checkedMessage(response), SUCCESS_BYTES);
}

export function encodeClose(close: Close): Uint8Array {
  if (close.status === 0) return copyOf(SUCCESS_BYTES);
  const frame = gatehouse.v1.Frame.encode({ close }).finish();
  const bytes = new Uint8Array(varintSize(frame.length) + frame.length);
  bytes.set(frame, putVarint(bytes, 0, frame.length));
  return bytes;
}

function checkedMessage(message: Uint8Array): Uint8Array {
  checkMessageSize(message.length);
  return message;
}

function checkMessageSize(sizeBytes: number): void {
  if (sizeBytes <= LIMITS.messageBytes) return;
  throw new GatehouseError("rpc.too-large", `a message is larger than ${LIMITS.messageBytes} bytes`);
}

function encodeFields(
  open: Uint8Array | undefined,
  message: Uint8Array | undefined,
  tail: Uint8Array,
): Uint8Array {
  // A slice of Node's pool: a third of the cost of a buffer of its own.
  const bytes = Buffer.allocUnsafe(frameSize(open) + frameSize(message) + tail.length);
  let at = 0;
  if (open !== undefined) at = putFrame(bytes, at, TAG.open, open);
  if (message !== undefined) at = putFrame(bytes, at, TAG.message, message);
  bytes.set(tail, at);
  return bytes;
}

function frameSize(field: Uint8Array | undefined): number {
  if (field === undefined) return 0;
  const payload = 1 + varintSize(field.length) + field.length;
  return varintSize(payload) + payload;
}

function putFrame(target: Uint8Array, start: number, tag: number, field: Uint8Array): number {
  let at = putVarint(target, start, 1 + varintSize(field.length) + field.length);
  target[at] = tag;
  at = putVarint(target, at + 1, field.length);
  target.set(field, at);
  return at + field.length;
}

function encodeOpenField(open: Open): Uint8Array {
  const { method, timeoutMs, requestId, traceparent } = open;
  const target = Buffer.allocUnsafe(2 + method.length * 3 + 6 + 18 + 2 + traceparent.length * 3);
  let at = putText(target, 0, 0x0a, method);
  if (timeoutMs !== 0) {
    target[at] = 0x10;
    at = putVarint(target, at + 1, timeoutMs);
  }
  if (requestId !== undefined) {
    target[at] = 0x1a;
    target[at + 1] = requestId.length;
    target.set(requestId, at + 2);
    at += 2 + requestId.length;
  }
  return target.subarray(0, putText(target, at, 0x22, traceparent));
}

/** @throws RangeError above 127 bytes, which neither a method's name nor a traceparent has. */
function putText(target: Buffer, start: number, tag: number, text: string): number {
  if (text === "") return start;
  const length = target.write(text, start + 2);
  if (length > 0x7f) throw new RangeError(`encodeOpen: ${length} bytes is too long for a name`);
  target[start] = tag;
  target[start + 1] = length;
  return start + 2 + length;
}
