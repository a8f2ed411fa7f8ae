/**
 * The chain: hash(n) = SHA-256 over, each length-prefixed or of fixed size,
 *
 * | bytes | field |
 * | --- | --- |
 * | 4 + n | label `auditRecord` |
 * | 8 | sequence n |
 * | 4 + 32 | hash(n − 1) |
 * | 8 | journal sequence |
 * | 4 + n | event |
 *
 * and hash(0) = SHA-256(prefixed label `auditGenesis` ‖ prefixed log id).
 */

import { ByteWriter, equalBytes, utf8 } from "../core/index.ts";
import { LABELS, sha256 } from "../crypto/index.ts";
import { gatehouse } from "../gen/index.ts";

/** One link: what the file holds, and its hash. */
export interface AuditRecord {
  /** 1, 2, 3, … */
  readonly sequence: number;
  readonly previousHash: Uint8Array;
  /** An encoded event. */
  readonly event: Uint8Array;
  /** The vault's journal record that the event came with; 0 when it came with none. */
  readonly journalSequence: number;
}

/** The newest record's place and hash; sequence 0 and the log's first hash while it is empty. */
export interface AuditHead {
  readonly sequence: number;
  /** 32 bytes. */
  readonly hash: Uint8Array;
}

const codec = gatehouse.v1.AuditRecord;
const RECORD_LABEL = new ByteWriter().prefixed(utf8(LABELS.auditRecord)).finish();
const HASH_BYTES = 32;
/** The fixed part between the label and the event: sequence, previous hash, journal sequence, event's length. */
const FIXED_BYTES = 8 + 4 + HASH_BYTES + 8 + 4;

export function genesisHash(logId: Uint8Array): Uint8Array {
  return sha256(new ByteWriter().prefixed(utf8(LABELS.auditGenesis)).prefixed(logId).finish());
}

/** Hash of a record, by which the next one names it. @throws RangeError unless the previous hash is 32 bytes. */
export function recordHash({ sequence, previousHash, event, journalSequence }: AuditRecord): Uint8Array {
  if (previousHash.length !== HASH_BYTES) throw new RangeError("recordHash: previous hash is not 32 bytes");
  // One buffer instead of a ByteWriter's ten: this runs for every audited read (2 µs instead of 6).
  const fixed = Buffer.allocUnsafe(FIXED_BYTES);
  writeU64(fixed, sequence, 0);
  fixed.writeUInt32BE(HASH_BYTES, 8);
  fixed.set(previousHash, 12);
  writeU64(fixed, journalSequence, 12 + HASH_BYTES);
  fixed.writeUInt32BE(event.length, 20 + HASH_BYTES);
  return sha256(RECORD_LABEL, fixed, event);
}

/**
 * Whether `record` continues the chain that ends at `head`; answers the head after it.
 *
 * @returns a sentence when it does not.
 */
export function extend(head: AuditHead, record: AuditRecord): AuditHead | string {
  if (record.sequence !== head.sequence + 1)
    return `record ${record.sequence} follows record ${head.sequence}`;
  if (!equalBytes(record.previousHash, head.hash)) return "the record before it is another one than it names";
  return { sequence: record.sequence, hash: recordHash(record) };
}

export function encodeRecord(record: AuditRecord): Uint8Array {
  return codec.encode(record).finish();
}

/** Copies out of `bytes`. @throws Error when they are no record. */
export function decodeRecord(bytes: Uint8Array): AuditRecord {
  const { sequence, previousHash, event, journalSequence } = codec.decode(bytes);
  return {
    sequence,
    previousHash: Uint8Array.from(previousHash),
    event: Uint8Array.from(event),
    journalSequence,
  };
}

function writeU64(target: Buffer, value: number, offset: number): void {
  target.writeUInt32BE(Math.floor(value / 2 ** 32), offset);
  target.writeUInt32BE(value % 2 ** 32, offset + 4);
}
