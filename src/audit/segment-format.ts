/**
 * One file of the log (a segment): a header, then groups of records up to the end of the file. Big-endian.
 *
 * Segment header, 112 bytes:
 *
 * | bytes | field |
 * | --- | --- |
 * | 4 | `GHA`, format 1 |
 * | 16 | log id |
 * | 8 | segment number: 1, 2, 3, … |
 * | 8 | sequence of the newest record before this segment |
 * | 32 | its hash |
 * | 8 | the newest journal sequence before this segment |
 * | 4 | 0 |
 * | 32 | HMAC-SHA-256(header key, prefixed label `auditSegmentHeader` ‖ all of the above) |
 *
 * Group, 32 + n bytes:
 *
 * | bytes | field |
 * | --- | --- |
 * | 4 | n |
 * | 4 | number of records |
 * | 8 | sequence of the first one |
 * | 16 | HMAC-SHA-256(header key, prefixed label `auditGroupHeader` ‖ place ‖ all of the above), cut to 16 bytes |
 * | n | sealed under label `auditGroup`; header: the 32 bytes above; associated data: place |
 *
 * place = log id(16) ‖ segment number(8) ‖ offset of the group in the file(8). Sealed is one prefixed `AuditRecord`
 * (schemas/gatehouse/v1/audit.proto) after the other. header key = HKDF-SHA-256(key, salt = log id,
 * info = label `auditHeaderKey`).
 *
 * The length of a group is authenticated before it is believed: a file that ends inside it was torn, while a
 * length that somebody changed is damage.
 */
import { createSecretKey, type KeyObject } from "node:crypto";
import { ByteReader, ByteWriter, equalBytes, LIMITS, type Random, utf8 } from "../core/index.ts";
import {
  equalSecrets,
  hkdfSha256,
  hmacSha256,
  LABELS,
  openOnce,
  SEALED_OVERHEAD_BYTES,
  sealOnce,
} from "../crypto/index.ts";
import { type AuditHead, type AuditRecord, decodeRecord, encodeRecord } from "./record.ts";

export const LOG_ID_BYTES = 16;
export const SEGMENT_HEADER_BYTES = 112;
export const GROUP_HEADER_BYTES = 32;
const MAGIC = utf8("GHA\u0001");
const HASH_BYTES = 32;
const GROUP_TAG_BYTES = 16;
const SEGMENT_LABEL = new ByteWriter().prefixed(utf8(LABELS.auditSegmentHeader)).finish();
const GROUP_LABEL = new ByteWriter().prefixed(utf8(LABELS.auditGroupHeader)).finish();

/** One log's id and keys. */
export interface LogKeys {
  readonly logId: Uint8Array;
  readonly sealKey: KeyObject;
  readonly headerKey: KeyObject;
}

export interface SegmentHeader {
  readonly number: number;
  /** What the log was before this segment. */
  readonly before: AuditHead;
  readonly journalSequenceBefore: number;
}

export interface GroupHeader {
  readonly sealedBytes: number;
  readonly count: number;
  readonly firstSequence: number;
}

/** Where a group stands. */
export interface GroupPlace {
  readonly segmentNumber: number;
  readonly offset: number;
}

export function logKeys(key: KeyObject, logId: Uint8Array): LogKeys {
  const headerKey = hkdfSha256({ ikm: key, salt: logId, info: utf8(LABELS.auditHeaderKey), length: 32 });
  try {
    return { logId, sealKey: key, headerKey: createSecretKey(headerKey) };
  } finally {
    headerKey.fill(0);
  }
}

export function encodeSegmentHeader(keys: LogKeys, header: SegmentHeader): Uint8Array {
  const fields = new ByteWriter()
    .raw(MAGIC)
    .raw(keys.logId)
    .u64(header.number)
    .u64(header.before.sequence)
    .raw(header.before.hash)
    .u64(header.journalSequenceBefore)
    .u32(0)
    .finish();
  return new ByteWriter().raw(fields).raw(segmentTag(keys, fields)).finish();
}

/** The log id that a segment claims, before any key can check it. @throws MalformedBytes on short input. */
export function claimedLogId(bytes: Uint8Array): Uint8Array {
  const reader = new ByteReader(bytes);
  reader.raw(MAGIC.length);
  return Uint8Array.from(reader.raw(LOG_ID_BYTES));
}

/** @returns a sentence when the first 112 bytes are no header of this log. @throws MalformedBytes on short input. */
export function parseSegmentHeader(keys: LogKeys, bytes: Uint8Array): SegmentHeader | string {
  const reader = new ByteReader(bytes.subarray(0, SEGMENT_HEADER_BYTES));
  const magic = reader.raw(MAGIC.length);
  if (!equalBytes(magic, MAGIC)) return "it is no audit file of a known format";
  if (!equalBytes(reader.raw(LOG_ID_BYTES), keys.logId)) return "it belongs to another log";
  const number = reader.raw(8);
  const sequence = reader.raw(8);
  const hash = Uint8Array.from(reader.raw(HASH_BYTES));
  const journal = reader.raw(8);
  reader.raw(4);
  const fields = bytes.subarray(0, reader.offset);
  if (!equalSecrets(reader.raw(HASH_BYTES), segmentTag(keys, fields))) {
    return "its header does not verify: it was changed, or the key is another one";
  }
  return {
    number: new ByteReader(number).u64(),
    before: { sequence: new ByteReader(sequence).u64(), hash },
    journalSequenceBefore: new ByteReader(journal).u64(),
  };
}

/** Seals `records` (at least one, in order) for exactly this place. */
export function sealGroup(
  keys: LogKeys,
  at: GroupPlace,
  records: readonly AuditRecord[],
  random: Random,
): Uint8Array {
  const body = new ByteWriter();
  for (const record of records) body.prefixed(encodeRecord(record));
  const plaintext = body.finish();
  const place = placeBytes(keys, at);
  const fields = new ByteWriter()
    .u32(plaintext.length + SEALED_OVERHEAD_BYTES)
    .u32(records.length)
    .u64(records[0]?.sequence ?? 0)
    .finish();
  const header = new ByteWriter()
    .raw(fields)
    .raw(groupTag(keys, place, fields))
    .finish();
  const context = { key: keys.sealKey, label: LABELS.auditGroup, header, associatedData: place };
  return new ByteWriter()
    .raw(header)
    .raw(sealOnce({ ...context, plaintext, random }))
    .finish();
}

/** `header` is 32 bytes. @returns undefined when they do not verify for this place. */
export function parseGroupHeader(keys: LogKeys, at: GroupPlace, header: Uint8Array): GroupHeader | undefined {
  const fields = header.subarray(0, GROUP_HEADER_BYTES - GROUP_TAG_BYTES);
  const tag = header.subarray(GROUP_HEADER_BYTES - GROUP_TAG_BYTES);
  if (!equalSecrets(tag, groupTag(keys, placeBytes(keys, at), fields))) return undefined;
  const reader = new ByteReader(fields);
  return { sealedBytes: reader.u32(), count: reader.u32(), firstSequence: reader.u64() };
}

/** @returns the records, or undefined when the sealed bytes are not the ones that `header` was written for. */
export function openGroup(
  keys: LogKeys,
  at: GroupPlace,
  header: Uint8Array,
  sealed: Uint8Array,
): readonly AuditRecord[] | undefined {
  const associatedData = placeBytes(keys, at);
  const body = openOnce({ key: keys.sealKey, label: LABELS.auditGroup, header, associatedData, sealed });
  if (body === undefined) return undefined;
  const reader = new ByteReader(body);
  const records: AuditRecord[] = [];
  while (reader.remaining > 0) records.push(decodeRecord(reader.prefixed(2 * LIMITS.auditRecordBytes)));
  return records;
}

function segmentTag(keys: LogKeys, fields: Uint8Array): Uint8Array {
  return hmacSha256(keys.headerKey, SEGMENT_LABEL, fields);
}

function groupTag(keys: LogKeys, place: Uint8Array, fields: Uint8Array): Uint8Array {
  return hmacSha256(keys.headerKey, GROUP_LABEL, place, fields).subarray(0, GROUP_TAG_BYTES);
}

function placeBytes({ logId }: LogKeys, { segmentNumber, offset }: GroupPlace): Uint8Array {
  return new ByteWriter().raw(logId).u64(segmentNumber).u64(offset).finish();
}
