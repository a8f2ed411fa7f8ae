import { AuditDamage } from "./damage.ts";
import { type AuditHead, type AuditRecord, extend } from "./record.ts";
import {
  GROUP_HEADER_BYTES,
  type LogKeys,
  openGroup,
  parseGroupHeader,
  parseSegmentHeader,
  SEGMENT_HEADER_BYTES,
} from "./segment-format.ts";

/** How far a log has come. */
export interface ChainState {
  readonly head: AuditHead;
  /** The newest journal sequence whose events are in; 0 when none. */
  readonly journalSequence: number;
}

/** A record and its own hash. */
export interface AuditLink {
  readonly record: AuditRecord;
  readonly hash: Uint8Array;
}

export interface SegmentBytes {
  readonly number: number;
  readonly file: string;
  readonly bytes: Uint8Array;
}

export interface SegmentEnd {
  readonly state: ChainState;
  /** Bytes up to which the file is whole: its size, unless its end was torn off. */
  readonly wholeBytes: number;
}

/**
 * Checks a segment group by group, yielding each group's records. Everything is checked against the keys, the
 * place and the chain; `from` is the end of the segment before, absent when that was not read.
 *
 * @throws AuditDamage at the first thing that does not verify.
 */
export function* walkSegment(
  keys: LogKeys,
  segment: SegmentBytes,
  from?: ChainState,
): Generator<readonly AuditLink[], SegmentEnd> {
  let state = startOf(keys, segment, from);
  let offset = SEGMENT_HEADER_BYTES;
  while (offset < segment.bytes.length) {
    const group = groupAt(keys, segment, offset, state);
    if (group === undefined) break;
    const links = chained(group.records, state, (what) => damage(segment, offset, state, what));
    state = links.reduce(advance, state);
    offset += group.size;
    yield links;
  }
  return { state, wholeBytes: Math.min(offset, segment.bytes.length) };
}

function startOf(keys: LogKeys, segment: SegmentBytes, from: ChainState | undefined): ChainState {
  const refuse = (what: string): AuditDamage =>
    new AuditDamage(what, {
      file: segment.file,
      offset: 0,
      sequence: from === undefined ? undefined : from.head.sequence + 1,
    });
  if (segment.bytes.length < SEGMENT_HEADER_BYTES) throw refuse("it is shorter than a header");
  const header = parseSegmentHeader(keys, segment.bytes);
  if (typeof header === "string") throw refuse(header);
  if (header.number !== segment.number) throw refuse(`it is segment ${header.number} under another name`);
  const { before: head, journalSequenceBefore: journalSequence } = header;
  if (from !== undefined && Buffer.compare(head.hash, from.head.hash) !== 0) {
    throw refuse("it does not continue the segment before it");
  }
  return { head, journalSequence };
}

interface FoundGroup {
  readonly records: readonly AuditRecord[];
  readonly size: number;
}

/** @returns undefined where the file ends inside the group. */
function groupAt(
  keys: LogKeys,
  segment: SegmentBytes,
  offset: number,
  state: ChainState,
): FoundGroup | undefined {
  const refuse = (what: string): AuditDamage => damage(segment, offset, state, what);
  const rest = segment.bytes.subarray(offset);
  if (rest.length < GROUP_HEADER_BYTES) return undefined;
  const place = { segmentNumber: segment.number, offset };
  const headerBytes = rest.subarray(0, GROUP_HEADER_BYTES);
  const header = parseGroupHeader(keys, place, headerBytes);
  if (header === undefined) throw refuse("a group's header does not verify");
  if (header.firstSequence !== state.head.sequence + 1) {
    throw refuse(`a group that begins with record ${header.firstSequence} stands here`);
  }
  const size = GROUP_HEADER_BYTES + header.sealedBytes;
  if (rest.length < size) return undefined;
  const records = opened(() => openGroup(keys, place, headerBytes, rest.subarray(GROUP_HEADER_BYTES, size)));
  if (records === undefined) throw refuse("a group does not verify");
  if (records.length !== header.count) throw refuse("a group holds another number of records than it says");
  return { records, size };
}

/** Only who holds the key can write what verifies and yet is no list of records; still it is damage, not a crash. */
function opened(open: () => readonly AuditRecord[] | undefined): readonly AuditRecord[] | undefined {
  try {
    return open();
  } catch {
    return undefined;
  }
}

function chained(
  records: readonly AuditRecord[],
  { head }: ChainState,
  refuse: (what: string) => AuditDamage,
): readonly AuditLink[] {
  let last = head;
  return records.map((record) => {
    const next = extend(last, record);
    if (typeof next === "string") throw refuse(next);
    last = next;
    return { record, hash: next.hash };
  });
}

function advance(state: ChainState, { record, hash }: AuditLink): ChainState {
  const journalSequence = Math.max(state.journalSequence, record.journalSequence);
  return { head: { sequence: record.sequence, hash }, journalSequence };
}

function damage(segment: SegmentBytes, offset: number, { head }: ChainState, what: string): AuditDamage {
  return new AuditDamage(what, { file: segment.file, offset, sequence: head.sequence + 1 });
}
