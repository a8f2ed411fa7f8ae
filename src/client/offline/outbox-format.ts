/**
 * Calls that wait, and answers that wait for whoever asked, a file each. They may hold secrets and are sealed under a key
 * that comes from the identity, bound to their gatehouse and to their own name: none takes the place of another.
 *
 * | bytes | what                                                                         |
 * | ----- | ---------------------------------------------------------------------------- |
 * | 4     | `GHO`, version 1                                                             |
 * | n     | sealed by `sealOnce`, bound to the bytes before it, the gatehouse and name   |
 *
 * A call, sealed; times are Unix ms:
 *
 * | bytes | what                                                                         |
 * | ----- | ---------------------------------------------------------------------------- |
 * | 8     | owner: who waits for the answer                                              |
 * | 8     | when it was asked                                                            |
 * | 8     | when it was first sent; 0: never                                             |
 * | 8     | when it was last sent; 0: never                                              |
 * | 4     | milliseconds that an attempt may take                                        |
 * | 4 + n | method path                                                                  |
 * | 4 + n | request, at most `LIMITS.messageBytes`                                       |
 *
 * An answer, sealed:
 *
 * | bytes | what                                                                         |
 * | ----- | ---------------------------------------------------------------------------- |
 * | 8     | owner                                                                        |
 * | 8     | when it was asked                                                            |
 * | 4 + n | method path                                                                  |
 * | 1     | 1: answered, 2: failed                                                       |
 * | 4 + n | the response, at most `LIMITS.outboxAnswerBytes`; or the error's code, …     |
 * | 4 + n | … its message and …                                                          |
 * | 4 + n | … its hint, which is empty when there is none                                |
 */
import type { KeyObject } from "node:crypto";
import {
  ByteReader,
  ByteWriter,
  concat,
  copyOf,
  equalBytes,
  fromHex,
  fromUtf8,
  GatehouseError,
  hex,
  isErrorCode,
  LIMITS,
  MalformedBytes,
  type Random,
  type UnixMs,
  unixMs,
  utf8,
} from "../../core/index.ts";
import { LABELS, type Label, openOnce, SEALED_OVERHEAD_BYTES, sealOnce } from "../../crypto/index.ts";
import type { DeviceId } from "../../identity/index.ts";

const MAGIC = concat(utf8("GHO"), Uint8Array.of(1));
export const OWNER_BYTES = 8;
const REQUEST_ID_BYTES = 16;
const SENTENCE_BYTES = 4_096;
const [ANSWERED, FAILED] = [1, 2];
const FIXED_BYTES = MAGIC.length + SEALED_OVERHEAD_BYTES + OWNER_BYTES + 3 * 8 + 4 + 2 * 4;
/** The largest file of either kind. */
export const OUTBOX_FILE_BYTES = FIXED_BYTES + LIMITS.methodNameBytes + LIMITS.messageBytes;

export interface QueuedCall {
  /** Hex. */
  readonly owner: string;
  readonly method: string;
  /** Encoded. */
  readonly request: Uint8Array;
  readonly timeoutMs: number;
  readonly askedAt: UnixMs;
  /** Undefined: it has not left this machine. */
  readonly sent: { readonly firstAt: UnixMs; readonly lastAt: UnixMs } | undefined;
}

/** What became of a call: the encoded response, or why there is none. */
export type Outcome =
  | { readonly kind: "answered"; readonly response: Uint8Array }
  | { readonly kind: "failed"; readonly error: GatehouseError };

export interface QueuedAnswer {
  readonly owner: string;
  readonly method: string;
  readonly askedAt: UnixMs;
  readonly outcome: Outcome;
}

/** Where an outbox's file belongs. */
export interface Seal {
  /** From the identity. */
  readonly key: KeyObject;
  readonly gatehouseId: DeviceId;
}

/** A call's place in its queue, and its request id: the name of its file but the ending. */
export function stemOf(sequence: number, requestId: Uint8Array): string {
  return `${sequence.toString(16).padStart(12, "0")}-${hex(requestId)}`;
}

const STEM = /^([0-9a-f]{12})-([0-9a-f]{32})$/;

/** Undefined for a name that `stemOf` does not make. */
export function parseStem(
  stem: string,
): { readonly sequence: number; readonly requestId: Uint8Array } | undefined {
  const [, sequence = "", id = ""] = STEM.exec(stem) ?? [];
  if (id.length !== 2 * REQUEST_ID_BYTES) return undefined;
  return { sequence: Number.parseInt(sequence, 16), requestId: fromHex(id) };
}

/** Of a name that was parsed before. */
export function idIn(stem: string): Uint8Array {
  return parseStem(stem)?.requestId ?? new Uint8Array(REQUEST_ID_BYTES);
}

export function encodeQueuedCall(
  call: QueuedCall,
  stem: string,
  seal: Seal & { random: Random },
): Uint8Array {
  const writer = new ByteWriter().raw(fromHex(call.owner)).u64(call.askedAt);
  writer
    .u64(call.sent?.firstAt ?? 0)
    .u64(call.sent?.lastAt ?? 0)
    .u32(call.timeoutMs);
  return sealed(writer.prefixed(utf8(call.method)).prefixed(call.request), LABELS.outboxCall, {
    stem,
    ...seal,
  });
}

/** Undefined unless it is a whole call of that name, sealed by this identity. The request is a copy. */
export function decodeQueuedCall(bytes: Uint8Array, stem: string, seal: Seal): QueuedCall | undefined {
  return opened(bytes, LABELS.outboxCall, { stem, ...seal }, (reader) => {
    const owner = hex(reader.raw(OWNER_BYTES));
    const askedAt = unixMs(reader.u64());
    const [firstAt, lastAt, timeoutMs] = [reader.u64(), reader.u64(), reader.u32()];
    const method = fromUtf8(reader.prefixed(LIMITS.methodNameBytes));
    const request = copyOf(reader.prefixed(LIMITS.messageBytes));
    const sent = firstAt === 0 ? undefined : { firstAt: unixMs(firstAt), lastAt: unixMs(lastAt) };
    return { owner, method, request, timeoutMs, askedAt, sent };
  });
}

export function encodeQueuedAnswer(
  { owner, askedAt, method, outcome }: QueuedAnswer,
  stem: string,
  seal: Seal & { random: Random },
): Uint8Array {
  const writer = new ByteWriter().raw(fromHex(owner)).u64(askedAt).prefixed(utf8(method));
  if (outcome.kind === "answered") writer.u8(ANSWERED).prefixed(outcome.response);
  else {
    const { code, message, hint = "" } = outcome.error;
    writer.u8(FAILED).prefixed(utf8(code)).prefixed(sentence(message)).prefixed(sentence(hint));
  }
  return sealed(writer, LABELS.outboxAnswer, { stem, ...seal });
}

/** Undefined unless it is a whole answer of that name, sealed by this identity. The response is a copy. */
export function decodeQueuedAnswer(bytes: Uint8Array, stem: string, seal: Seal): QueuedAnswer | undefined {
  return opened(bytes, LABELS.outboxAnswer, { stem, ...seal }, (reader) => {
    const owner = hex(reader.raw(OWNER_BYTES));
    const askedAt = unixMs(reader.u64());
    const method = fromUtf8(reader.prefixed(LIMITS.methodNameBytes));
    return { owner, method, askedAt, outcome: readOutcome(reader) };
  });
}

function readOutcome(reader: ByteReader): Outcome {
  const kind = reader.u8();
  if (kind === ANSWERED) {
    return { kind: "answered", response: copyOf(reader.prefixed(LIMITS.outboxAnswerBytes)) };
  }
  const text = (): string => fromUtf8(reader.prefixed(SENTENCE_BYTES));
  const [code, message, hint] = [text(), text(), text()];
  if (kind !== FAILED) throw new MalformedBytes(`an answer of kind ${kind}`);
  const details = hint === "" ? {} : { hint };
  return {
    kind: "failed",
    error: new GatehouseError(isErrorCode(code) ? code : "rpc.unknown-error", message, details),
  };
}

/** Ours and a gatehouse's are far shorter; cut between characters. */
function sentence(text: string): Uint8Array {
  return utf8(text.slice(0, SENTENCE_BYTES / 4));
}

interface Place extends Seal {
  readonly stem: string;
}

function sealed(writer: ByteWriter, label: Label, place: Place & { readonly random: Random }): Uint8Array {
  const plaintext = writer.finish();
  const { key, random } = place;
  const context = { key, label, header: MAGIC, associatedData: boundTo(place) };
  const bytes = sealOnce({ ...context, plaintext, random });
  plaintext.fill(0);
  return concat(MAGIC, bytes);
}

function opened<Result>(
  bytes: Uint8Array,
  label: Label,
  place: Place,
  read: (reader: ByteReader) => Result,
): Result | undefined {
  if (!equalBytes(bytes.subarray(0, MAGIC.length), MAGIC)) return undefined;
  const context = { key: place.key, label, header: MAGIC, associatedData: boundTo(place) };
  const plaintext = openOnce({ ...context, sealed: bytes.subarray(MAGIC.length) });
  if (plaintext === undefined) return undefined;
  const reader = new ByteReader(plaintext);
  const result = read(reader);
  reader.end();
  plaintext.fill(0);
  return result;
}

function boundTo({ gatehouseId, stem }: Place): Uint8Array {
  return new ByteWriter().prefixed(utf8(gatehouseId)).prefixed(utf8(stem)).finish();
}
