import { basename } from "node:path";
import type { Random } from "../core/index.ts";
import {
  ByteReader,
  ByteWriter,
  concat,
  copyOf,
  equalBytes,
  fromHex,
  LIMITS,
  MalformedBytes,
  utf8,
} from "../core/index.ts";
import {
  equalSecrets,
  hmacSha256,
  LABELS,
  openOnce,
  SEALED_OVERHEAD_BYTES,
  sealOnce,
  sha256,
} from "../crypto/index.ts";
import { damaged } from "./damage.ts";
import type { JournalPosition, StorageKeys } from "./storage-keys.ts";
import { decodeTransaction, type EncodedTransaction, type Transaction } from "./transaction.ts";
import { checkFormat, unknownFormat } from "./unknown-format.ts";

/**
 * A journal segment: a header, then groups, each one write. Nothing in it is ever rewritten.
 *
 * | bytes | segment header | | bytes | group |
 * | --- | --- | --- | --- | --- |
 * | 3 | `GHJ` | | 4 | length of the sealed part |
 * | 1 | format 1 | | 4 | number of transactions |
 * | 16 | vault id | | 8 | sequence of the first one |
 * | 8 | segment number, from 1 | | 32 | HMAC-SHA-256 of segment number, offset, chain and the 16 bytes above |
 * | 8 | newest sequence before it | | 32 | salt |
 * | 8 | newest sequence with audit events before it | | 32 | commitment |
 * | 32 | chain before it | | n | ciphertext: transactions, each u32 length-prefixed |
 * | 32 | HMAC-SHA-256 of all above | | 16 | tag |
 *
 * chain = SHA-256(chain before ‖ group), at the start SHA-256(vault id); the sealed part is bound to it.
 * The HMAC proves the declared length on its own: a group that the file does not hold whole was never acknowledged
 * and may be cut away, while a changed length is damage.
 */

const MAGIC = utf8("GHJ");
const FORMAT = 1;
const MAC_BYTES = 32;
const GROUP_FIELDS_BYTES = 16;
const SEQUENCE_BYTES = 8;
const SEALED_MAX = LIMITS.vaultGroupBytes * 2 + SEALED_OVERHEAD_BYTES;

export const SEGMENT_HEADER_BYTES = 3 + 1 + 16 + 8 + 8 + 8 + 32 + MAC_BYTES;
export const GROUP_HEADER_BYTES = GROUP_FIELDS_BYTES + MAC_BYTES;

export function encodeSegmentHeader(keys: StorageKeys, number: number, before: JournalPosition): Uint8Array {
  const fields = new ByteWriter()
    .raw(MAGIC)
    .u8(FORMAT)
    .raw(fromHex(keys.vaultId))
    .u64(number)
    .u64(before.sequence)
    .u64(before.auditedSequence)
    .raw(before.chain)
    .finish();
  return concat(fields, hmacSha256(keys.segment, fields));
}

export interface GroupPlace {
  readonly number: number;
  readonly offset: number;
  readonly chain: Uint8Array;
}

/** `transactions` is not empty, in order of sequence. */
export function encodeGroup(
  keys: StorageKeys,
  place: GroupPlace,
  transactions: readonly EncodedTransaction[],
  random: Random,
): { readonly bytes: Uint8Array; readonly chain: Uint8Array } {
  const writer = new ByteWriter();
  for (const { transaction, statements } of transactions) {
    writer
      .u32(SEQUENCE_BYTES + statements.length)
      .u64(transaction.sequence)
      .raw(statements);
  }
  const plaintext = writer.finish();
  const fields = new ByteWriter()
    .u32(plaintext.length + SEALED_OVERHEAD_BYTES)
    .u32(transactions.length)
    .u64(transactions[0]?.transaction.sequence ?? 0)
    .finish();
  const header = concat(fields, groupMac(keys, place, fields));
  const sealed = sealOnce({
    ...{ key: keys.journal, label: LABELS.vaultJournal, header, associatedData: place.chain },
    ...{ plaintext, random },
  });
  const bytes = concat(header, sealed);
  return { bytes, chain: sha256(place.chain, bytes) };
}

/** A group that the file does not hold whole. */
export interface TornTail {
  readonly offset: number;
  /** The newest sequence it would have held; `undefined` when not even its header is whole. */
  readonly lastSequence: number | undefined;
}

export interface SegmentEnd {
  readonly position: JournalPosition;
  /** Bytes up to the last whole group. */
  readonly sizeBytes: number;
  readonly torn: TornTail | undefined;
}

/**
 * Reads one segment from front to back: `visit` gets every transaction of a group once the group has verified.
 * @throws GatehouseError `vault.damaged` at the first thing that does not verify, or when the segment is not the
 * one expected, or does not follow `before` (when given); `vault.unknown-format`.
 */
export function readSegment(input: {
  readonly keys: StorageKeys;
  readonly path: string;
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly before: JournalPosition | undefined;
  readonly visit: (transaction: Transaction) => void;
}): { readonly start: JournalPosition; readonly end: SegmentEnd } {
  const start = readSegmentHeader(input);
  let position = start;
  let offset = SEGMENT_HEADER_BYTES;
  while (offset < input.bytes.length) {
    const rest = input.bytes.subarray(offset);
    const group = readGroup(input, { number: input.number, offset, chain: position.chain }, rest, position);
    if ("torn" in group) return { start, end: { position, sizeBytes: offset, torn: group.torn } };
    for (const transaction of group.transactions) input.visit(transaction);
    position = group.position;
    offset += group.sizeBytes;
  }
  return { start, end: { position, sizeBytes: offset, torn: undefined } };
}

function readSegmentHeader(input: Parameters<typeof readSegment>[0]): JournalPosition {
  const { keys, path, bytes, before } = input;
  checkFormat(path, bytes, { magic: MAGIC, known: FORMAT, verifies: (ours) => hasProof(keys, ours) });
  // Segments are put in place whole: one without its header is no torn write.
  if (bytes.length < SEGMENT_HEADER_BYTES) throw damaged(path, bytes.length, "its header ends early");
  const fields = bytes.subarray(0, SEGMENT_HEADER_BYTES - MAC_BYTES);
  if (!hasProof(keys, bytes)) throw damaged(path, 0, "its header does not verify");
  const reader = new ByteReader(fields.subarray(MAGIC.length + 1 + 16));
  if (reader.u64() !== input.number) throw damaged(path, 0, "it is another segment than its name says");
  const start = { sequence: reader.u64(), auditedSequence: reader.u64(), chain: copyOf(reader.raw(32)) };
  if (before !== undefined && !samePosition(before, start)) {
    throw damaged(path, 0, "it does not follow what came before it");
  }
  return start;
}

function hasProof(keys: StorageKeys, bytes: Uint8Array): boolean {
  const fields = bytes.subarray(0, SEGMENT_HEADER_BYTES - MAC_BYTES);
  return equalSecrets(bytes.subarray(fields.length, SEGMENT_HEADER_BYTES), hmacSha256(keys.segment, fields));
}

type ReadGroup =
  | { readonly torn: TornTail }
  | {
      readonly transactions: readonly Transaction[];
      readonly position: JournalPosition;
      readonly sizeBytes: number;
    };

function readGroup(
  { keys, path }: { readonly keys: StorageKeys; readonly path: string },
  place: GroupPlace,
  rest: Uint8Array,
  before: JournalPosition,
): ReadGroup {
  if (rest.length < GROUP_HEADER_BYTES) return { torn: { offset: place.offset, lastSequence: undefined } };
  const header = rest.subarray(0, GROUP_HEADER_BYTES);
  const fields = header.subarray(0, GROUP_FIELDS_BYTES);
  if (!equalSecrets(header.subarray(GROUP_FIELDS_BYTES), groupMac(keys, place, fields))) {
    throw damaged(path, place.offset, "a group's header does not verify");
  }
  const reader = new ByteReader(fields);
  const [sealedBytes, count, first] = [reader.u32(), reader.u32(), reader.u64()];
  if (sealedBytes > SEALED_MAX) throw damaged(path, place.offset, "a group is longer than any written");
  const sizeBytes = GROUP_HEADER_BYTES + sealedBytes;
  if (rest.length < sizeBytes) return { torn: { offset: place.offset, lastSequence: first + count - 1 } };
  const plaintext = openOnce({
    ...{ key: keys.journal, label: LABELS.vaultJournal, header, associatedData: place.chain },
    sealed: rest.subarray(GROUP_HEADER_BYTES, sizeBytes),
  });
  if (plaintext === undefined) throw damaged(path, place.offset, "a group does not open");
  const transactions = parseTransactions(path, place.offset, plaintext, count);
  const position = positionAfter(before, transactions, sha256(place.chain, rest.subarray(0, sizeBytes)));
  if (transactions[0]?.sequence !== first || position === undefined) {
    throw damaged(path, place.offset, "a group's sequences do not rise");
  }
  return { transactions, position, sizeBytes };
}

function parseTransactions(
  path: string,
  offset: number,
  plaintext: Uint8Array,
  count: number,
): Transaction[] {
  const reader = new ByteReader(plaintext);
  try {
    const transactions = Array.from({ length: count }, () => decodeTransaction(reader.prefixed(SEALED_MAX)));
    reader.end();
    return transactions;
  } catch (cause) {
    if (!(cause instanceof MalformedBytes || cause instanceof TypeError)) throw cause;
    // It has opened, so whoever wrote it had the keys and knew more.
    throw unknownFormat(`what a group at offset ${offset} of ${basename(path)} holds`);
  }
}

/** `undefined` when a sequence is not above the one before it. Gaps are allowed: a cut tail may leave one. */
export function positionAfter(
  before: JournalPosition,
  transactions: readonly Transaction[],
  chain: Uint8Array,
): JournalPosition | undefined {
  let { sequence, auditedSequence } = before;
  for (const transaction of transactions) {
    if (transaction.sequence <= sequence) return undefined;
    sequence = transaction.sequence;
    if (transaction.events.length > 0) auditedSequence = sequence;
  }
  return { sequence, auditedSequence, chain };
}

export function samePosition(a: JournalPosition, b: JournalPosition): boolean {
  return a.sequence === b.sequence && a.auditedSequence === b.auditedSequence && equalBytes(a.chain, b.chain);
}

function groupMac(keys: StorageKeys, { number, offset, chain }: GroupPlace, fields: Uint8Array): Uint8Array {
  return hmacSha256(keys.group, new ByteWriter().u64(number).u64(offset).raw(chain).raw(fields).finish());
}
