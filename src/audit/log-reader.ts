import type { KeyObject } from "node:crypto";
import { AuditDamage, type DamagePlace } from "./damage.ts";
import { type AuditHead, genesisHash } from "./record.ts";
import { readSegment, readSegmentStart, segmentFile, segmentNumbers } from "./segment-files.ts";
import { type LogKeys, parseSegmentHeader, SEGMENT_HEADER_BYTES } from "./segment-format.ts";
import { keysOf } from "./segment-store.ts";
import { type AuditLink, type ChainState, walkSegment } from "./segment-walk.ts";

/** What `verify` found. */
export type Verification =
  | {
      readonly kind: "intact";
      readonly head: AuditHead;
      /** Where the last file ends inside a group; that group is cut off at the next open. */
      readonly tornAt: { readonly file: string; readonly offset: number } | undefined;
    }
  | { readonly kind: "damaged"; readonly place: DamagePlace; readonly reason: string };

export interface LogPlace {
  readonly dir: string;
  readonly keys: LogKeys;
}

/** Groups checked between two turns of the event loop: about 2 ms. */
const GROUPS_PER_TURN = 32;

/**
 * Checks a whole log that lies in `dir`, whether a daemon has it open or not: every file, group and record, up to
 * the end. What was written while this went on may be reported as torn.
 *
 * @param key 32 bytes: the one that the log was written under.
 * @throws GatehouseError `file.io`
 */
export async function verifyAuditLog({
  dir,
  key,
}: {
  readonly dir: string;
  readonly key: KeyObject;
}): Promise<Verification> {
  return await verdict(async () => {
    const last = (await segmentNumbers(dir)).at(-1);
    if (last === undefined) throw missingFrom(1, 0);
    return await check({ dir, keys: await keysOf(dir, last, key) }, undefined);
  });
}

/** Checks the log up to `head`, which is known to be written. */
export async function verifyUpTo(place: LogPlace, head: AuditHead): Promise<Verification> {
  return await verdict(() => check(place, head));
}

/** Records from `after` (exclusive) to `head` (inclusive), each checked. @throws AuditDamage, GatehouseError file.io */
export async function* readLinks(place: LogPlace, after: number, head: AuditHead): AsyncGenerator<AuditLink> {
  let state: ChainState | undefined;
  let sequence = after;
  for (let number = await segmentHolding(place, after + 1); sequence < head.sequence; number += 1) {
    for await (const event of walk(place, number, state)) {
      if (event.kind === "end") state = event.state;
      else
        for (const link of event.links) {
          if (link.record.sequence <= sequence) continue;
          sequence = link.record.sequence;
          yield link;
          if (sequence === head.sequence) return;
        }
    }
  }
}

type WalkEvent =
  | { readonly kind: "group"; readonly links: readonly AuditLink[] }
  | {
      readonly kind: "end";
      readonly state: ChainState;
      readonly tornAt: { readonly file: string; readonly offset: number } | undefined;
    };

/** One segment, with a turn of the event loop now and then. */
async function* walk(
  place: LogPlace,
  number: number,
  from: ChainState | undefined,
): AsyncGenerator<WalkEvent> {
  const segment = await readSegment(place.dir, number);
  const groups = walkSegment(place.keys, segment, from);
  let step = groups.next();
  for (let count = 1; step.done !== true; count += 1) {
    yield { kind: "group", links: step.value };
    if (count % GROUPS_PER_TURN === 0) await new Promise((resolve) => void setImmediate(resolve));
    step = groups.next();
  }
  const { state, wholeBytes } = step.value;
  const isTorn = wholeBytes < segment.bytes.length;
  yield { kind: "end", state, tornAt: isTorn ? { file: segment.file, offset: wholeBytes } : undefined };
}

async function check(place: LogPlace, head: AuditHead | undefined): Promise<Verification> {
  const last = (await segmentNumbers(place.dir)).at(-1) ?? 0;
  let state: ChainState = {
    head: { sequence: 0, hash: genesisHash(place.keys.logId) },
    journalSequence: 0,
  };
  for (let number = 1; number <= last; number += 1) {
    for await (const event of walk(place, number, state)) {
      const found = event.kind === "group" ? reached(event.links, head) : undefined;
      if (found !== undefined) return found;
      if (event.kind === "group") continue;
      state = event.state;
      if (event.tornAt === undefined) continue;
      if (number < last) throw new AuditDamage("the file ends inside a group", after(event.tornAt, state));
      if (head === undefined) return { kind: "intact", head: state.head, tornAt: event.tornAt };
    }
  }
  if (head !== undefined && state.head.sequence < head.sequence) throw missingFrom(last, state.head.sequence);
  return { kind: "intact", head: state.head, tornAt: undefined };
}

/** The verdict, once the walk has come to the record that the log itself holds for its newest. */
function reached(links: readonly AuditLink[], head: AuditHead | undefined): Verification | undefined {
  const link = links.find(({ record }) => record.sequence === head?.sequence);
  if (link === undefined || head === undefined) return undefined;
  if (Buffer.compare(link.hash, head.hash) !== 0) {
    const place = { file: "the log", offset: 0, sequence: head.sequence };
    throw new AuditDamage("the files hold another history than the one that was written", place);
  }
  return { kind: "intact", head, tornAt: undefined };
}

async function verdict(run: () => Promise<Verification>): Promise<Verification> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof AuditDamage)) throw error;
    return { kind: "damaged", place: error.place, reason: error.message };
  }
}

/** The segment in which record `sequence` lies, or would lie: found by halving, reading headers only. */
async function segmentHolding(place: LogPlace, sequence: number): Promise<number> {
  let low = 1;
  let high = (await segmentNumbers(place.dir)).length;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((await recordsBefore(place, middle)) < sequence) low = middle;
    else high = middle - 1;
  }
  return low;
}

async function recordsBefore({ dir, keys }: LogPlace, number: number): Promise<number> {
  const bytes = await readSegmentStart(dir, number, SEGMENT_HEADER_BYTES);
  const header =
    bytes.length < SEGMENT_HEADER_BYTES ? "it is shorter than a header" : parseSegmentHeader(keys, bytes);
  if (typeof header !== "string") return header.before.sequence;
  throw new AuditDamage(header, { file: segmentFile(number), offset: 0, sequence: undefined });
}

function after(at: { readonly file: string; readonly offset: number }, { head }: ChainState): DamagePlace {
  return { ...at, sequence: head.sequence + 1 };
}

function missingFrom(number: number, sequence: number): AuditDamage {
  const place = { file: segmentFile(number), offset: 0, sequence: sequence + 1 };
  return new AuditDamage("the records from here on are missing", place);
}
