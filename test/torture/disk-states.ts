/** The disks that a power loss could leave at a moment of a recording. */
import { concat } from "../../src/core/index.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import { type Change, type Entry, placeOf, type Recording } from "./disk-recorder.ts";

/** By path: bytes, and which file it is. */
export type Disk = ReadonlyMap<string, { readonly file: number; readonly bytes: Uint8Array }>;

export interface LeftDisk {
  readonly how: string;
  readonly disk: Disk;
  /**
   * A file has bytes that were written after others that it has not: which no file system leaves that keeps a file's bytes
   * before its length. It may be refused as damage, never be taken for right.
   */
  readonly isHoled: boolean;
}

/** What became of a change that was not synced. A number: that many bytes of the write. */
type Fate = "there" | "gone" | "holed" | number;

interface Open {
  readonly index: number;
  readonly entry: Change;
}

const SUBSETS = 3;
const CUTS = 2;
const HOLE_BYTES = 64;

/** For each entry, the first sync that makes it sure; `Infinity` when none does. Syncs of the kind `ignored` make nothing so. */
export function sureAt<Note>(
  { entries }: Recording<Note>,
  ignored?: "sync" | "sync-folder",
): readonly number[] {
  return entries.map((entry, index) => {
    if (!isChange(entry)) return 0;
    const at = entries.findIndex((sync) => sync.kind !== ignored && covers(sync, entry, index));
    return at === -1 ? Number.POSITIVE_INFINITY : at;
  });
}

/** Every kind of disk after the first `length` entries, each once. */
export function disksAfter<Note>(
  recording: Recording<Note>,
  moment: { readonly length: number; readonly sure: readonly number[] },
  random: SeededRandom,
): readonly LeftDisk[] {
  const { length, sure } = moment;
  const open = recording.entries.slice(0, length).flatMap((entry, index): Open[] => {
    return isChange(entry) && (sure[index] ?? 0) >= length ? [{ index, entry }] : [];
  });
  const left = new Map<string, LeftDisk>();
  const leave = (how: string, fateOf: (change: Change, place: number) => Fate): void => {
    const fates = new Map(open.map(({ index, entry }, place) => [index, fateOf(entry, place)]));
    const key = [...fates].join(" ");
    const disk = diskOf(recording, length, fates);
    if (!left.has(key)) left.set(key, { how, isHoled: isHoled(open, fates), disk });
  };
  leave("all there", () => "there");
  leave("all gone", () => "gone");
  leave("names gone", ({ kind }) => (isName(kind) ? "gone" : "there"));
  leave("names only", ({ kind }) => (isName(kind) ? "there" : "gone"));
  const last = open.findLastIndex(({ entry }) => entry.kind === "write");
  const torn = open[last]?.entry;
  if (torn?.kind === "write") {
    const seeded = Array.from({ length: CUTS }, () => Math.floor(random.next() * torn.bytes.length));
    for (const cut of [1, ...seeded, torn.bytes.length - 1]) {
      leave(`torn at ${cut}`, (_, place) => (place === last ? cut : place < last ? "there" : "gone"));
    }
    leave("holed", (_, place) => (place === last ? "holed" : "there"));
  }
  for (let subset = 1; subset <= SUBSETS; subset += 1) {
    const lost = new Set<number>();
    leave(`subset ${subset}`, (change) => {
      if (isName(change.kind)) return random.next() < 0.5 ? "gone" : "there";
      const file = placeOf(change);
      const fate = typeof file === "number" && lost.has(file) ? "gone" : seededFate(change, random);
      if (typeof file === "number" && fate !== "there") lost.add(file);
      return fate;
    });
    leave(`scattered ${subset}`, (change) => seededFate(change, random));
  }
  return [...left.values()];
}

function seededFate(change: Change, random: SeededRandom): Fate {
  if (random.next() < 0.5) return "gone";
  const isTorn = change.kind === "write" && random.next() < 0.3;
  return isTorn ? Math.floor(random.next() * change.bytes.length) : "there";
}

function isHoled(open: readonly Open[], fates: ReadonlyMap<number, Fate>): boolean {
  const lost = new Set<number | string>();
  for (const { index, entry } of open) {
    if (isName(entry.kind)) continue;
    const [fate, file] = [fates.get(index), placeOf(entry)];
    if (fate === "holed" || (fate !== "gone" && lost.has(file))) return true;
    if (fate !== "there") lost.add(file);
  }
  return false;
}

function isChange<Note>(entry: Entry<Note>): entry is Change {
  return entry.kind !== "note" && entry.kind !== "sync" && entry.kind !== "sync-folder";
}

function isName(kind: Change["kind"]): boolean {
  return kind === "name" || kind === "no-name";
}

function covers<Note>(sync: Entry<Note>, change: Change, index: number): boolean {
  if (sync.kind !== "sync" && sync.kind !== "sync-folder") return false;
  return sync.through > index && placeOf(change) === (sync.kind === "sync" ? sync.file : sync.path);
}

function diskOf<Note>(
  { base, entries }: Recording<Note>,
  length: number,
  fates: ReadonlyMap<number, Fate>,
): Disk {
  const contents = new Map([...base.values()].map((bytes, file) => [file, bytes]));
  const names = new Map([...base.keys()].map((path, file) => [path, file]));
  for (const [index, entry] of entries.slice(0, length).entries()) {
    const fate = fates.get(index) ?? "there";
    if (isChange(entry) && fate !== "gone") apply(entry, fate, { contents, names });
  }
  return new Map(
    [...names].map(([path, file]) => [path, { file, bytes: contents.get(file) ?? new Uint8Array() }]),
  );
}

function apply(
  change: Change,
  fate: Exclude<Fate, "gone">,
  { contents, names }: { readonly contents: Map<number, Uint8Array>; readonly names: Map<string, number> },
): void {
  if (change.kind === "no-name") {
    names.delete(change.path);
  } else if (change.kind === "name") {
    if (change.from !== undefined && names.get(change.from) === change.file) names.delete(change.from);
    names.set(change.path, change.file);
  } else {
    const before = contents.get(change.file) ?? new Uint8Array();
    contents.set(
      change.file,
      change.kind === "length" ? resized(before, change.sizeBytes) : written(before, change, fate),
    );
  }
}

function written(
  before: Uint8Array,
  { offset, bytes }: Extract<Change, { kind: "write" }>,
  fate: Exclude<Fate, "gone">,
): Uint8Array {
  const all = fate === "holed" ? holed(bytes) : bytes;
  const there = typeof fate === "number" ? all.subarray(0, fate) : all;
  const end = offset + there.length;
  return concat(resized(before, offset), there, before.subarray(Math.min(end, before.length)));
}

function holed(bytes: Uint8Array): Uint8Array {
  const middle = Math.floor(bytes.length / 2);
  return bytes.slice().fill(0, middle, middle + HOLE_BYTES);
}

/** Zeros where it grows. */
function resized(bytes: Uint8Array, sizeBytes: number): Uint8Array {
  return sizeBytes <= bytes.length
    ? bytes.slice(0, sizeBytes)
    : concat(bytes, new Uint8Array(sizeBytes - bytes.length));
}
