import { damaged } from "./damage.ts";
import { Image } from "./image.ts";
import { readSegment, type SegmentEnd, samePosition, type TornTail } from "./journal-format.ts";
import { segmentPath, snapshotPath, type VaultFolder } from "./layout.ts";
import { openSnapshot, type Snapshot } from "./snapshot-format.ts";
import { firstPosition, type JournalPosition, type StorageKeys } from "./storage-keys.ts";
import type { Transaction } from "./transaction.ts";
import type { VaultFiles } from "./vault-files.ts";

export interface RecoveryInput {
  readonly files: VaultFiles;
  readonly dir: string;
  readonly keys: StorageKeys;
}

/** What the files say, all of it verified; nothing has been changed yet. */
export interface Recovered {
  /** The caller's to dispose. */
  readonly image: Image;
  readonly position: JournalPosition;
  /** The newest snapshot, or `undefined` before the first one. */
  readonly snapshot: number | undefined;
  /** The segment that grows, and where its last whole group ends. */
  readonly segment: number;
  readonly sizeBytes: number;
  readonly torn: TornTail | undefined;
  /** Where the oldest segment begins: everything after it can be handed over again. */
  readonly oldest: JournalPosition;
  readonly transactions: readonly Transaction[];
  readonly replayed: number;
  /** Journal bytes since the snapshot. */
  readonly journalBytes: number;
  /** Files that a finished checkpoint no longer needs, oldest first. */
  readonly stale: readonly string[];
}

/**
 * Reads every file of the vault and rebuilds the image. Transactions with events above `heardThrough` are kept in
 * `transactions`.
 * @throws GatehouseError `vault.damaged` naming file and offset.
 */
export async function recover(
  input: RecoveryInput & { readonly folder: VaultFolder; readonly heardThrough: number },
): Promise<Recovered> {
  const { dir, folder } = input;
  const number = folder.snapshots.at(-1);
  checkNumbers(dir, folder, number ?? 1);
  for (const old of folder.snapshots.slice(0, -1)) await loadSnapshot(input, old);
  const snapshot = number === undefined ? undefined : await loadSnapshot(input, number);
  const image = await Image.openLive(snapshot?.image);
  try {
    return await replayAll(input, { image, first: number ?? 1, snapshot });
  } catch (failure) {
    image[Symbol.dispose]();
    throw failure;
  }
}

export async function loadSnapshot(input: RecoveryInput, number: number): Promise<Snapshot> {
  const path = snapshotPath(input.dir, number);
  return openSnapshot({ keys: input.keys, path, number, bytes: await input.files.read(path) });
}

/** Reads segment `number`, applying it to `image` when one is given. */
export async function loadSegment(
  input: RecoveryInput & {
    readonly number: number;
    readonly before: JournalPosition | undefined;
    readonly image: Image | undefined;
    readonly visit?: (transaction: Transaction) => void;
  },
): Promise<{ readonly start: JournalPosition; readonly end: SegmentEnd; readonly count: number }> {
  const path = segmentPath(input.dir, input.number);
  const transactions: Transaction[] = [];
  const read = readSegment({
    ...{ keys: input.keys, path, number: input.number, before: input.before },
    bytes: await input.files.read(path),
    visit: (transaction) => {
      transactions.push(transaction);
      input.visit?.(transaction);
    },
  });
  input.image?.apply(transactions);
  return { ...read, count: transactions.length };
}

/** Segments have no gap, and reach from the snapshot's place or below it. */
function checkNumbers(dir: string, { segments }: VaultFolder, first: number): void {
  const oldest = segments[0];
  if (oldest === undefined || oldest > first) throw damaged(segmentPath(dir, first), 0, "it is missing");
  const gap = segments.findIndex((number, index) => number !== oldest + index);
  if (gap !== -1) throw damaged(segmentPath(dir, oldest + gap), 0, "it is missing");
  if ((segments.at(-1) ?? 0) < first) throw damaged(segmentPath(dir, first), 0, "it is missing");
}

async function replayAll(
  input: RecoveryInput & { readonly folder: VaultFolder; readonly heardThrough: number },
  from: { readonly image: Image; readonly first: number; readonly snapshot: Snapshot | undefined },
): Promise<Recovered> {
  const { dir, folder } = input;
  const transactions: Transaction[] = [];
  const visit = (transaction: Transaction): void => {
    if (transaction.events.length > 0 && transaction.sequence > input.heardThrough)
      transactions.push(transaction);
  };
  const last = folder.segments.at(-1);
  let [oldest, before, end]: [
    JournalPosition | undefined,
    JournalPosition | undefined,
    SegmentEnd | undefined,
  ] = [undefined, folder.segments[0] === 1 ? firstPosition(input.keys.vaultId) : undefined, undefined];
  let [replayed, journalBytes] = [0, 0];
  for (const number of folder.segments) {
    const isLive = number >= from.first;
    const read = await loadSegment({
      ...input,
      number,
      before,
      visit,
      image: isLive ? from.image : undefined,
    });
    if (number === from.first) checkSnapshotPlace(dir, number, from.snapshot, read.start);
    if (read.end.torn !== undefined && number !== last) {
      throw damaged(segmentPath(dir, number), read.end.torn.offset, "it ends inside a group");
    }
    oldest ??= read.start;
    before = read.end.position;
    end = read.end;
    if (isLive) {
      replayed += read.count;
      journalBytes += read.end.sizeBytes;
    }
  }
  if (oldest === undefined || before === undefined || end === undefined || last === undefined) {
    throw damaged(segmentPath(dir, from.first), 0, "it is missing");
  }
  return {
    ...{ image: from.image, position: before, segment: last, sizeBytes: end.sizeBytes, torn: end.torn },
    ...{ oldest, transactions, replayed, journalBytes, stale: staleFiles(dir, folder, from.first) },
    snapshot: folder.snapshots.at(-1),
  };
}

function checkSnapshotPlace(
  dir: string,
  number: number,
  snapshot: Snapshot | undefined,
  start: JournalPosition,
): void {
  if (snapshot !== undefined && !samePosition(snapshot.position, start)) {
    throw damaged(snapshotPath(dir, number), 0, "it does not belong where the journal goes on");
  }
}

/** Rising: what is left after another crash still has no gap. */
function staleFiles(dir: string, { segments, snapshots }: VaultFolder, first: number): readonly string[] {
  return [
    ...snapshots.filter((number) => number < first).map((number) => snapshotPath(dir, number)),
    ...segments.filter((number) => number < first).map((number) => segmentPath(dir, number)),
  ];
}
