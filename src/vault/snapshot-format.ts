import { setImmediate } from "node:timers/promises";
import {
  ByteReader,
  ByteWriter,
  concat,
  copyOf,
  equalBytes,
  fromHex,
  MalformedBytes,
  type Random,
  utf8,
} from "../core/index.ts";
import { LABELS, openOnce, SEALED_OVERHEAD_BYTES, sealOnce } from "../crypto/index.ts";
import { damaged } from "./damage.ts";
import type { JournalPosition, StorageKeys } from "./storage-keys.ts";
import { checkFormat } from "./unknown-format.ts";

/**
 * A snapshot: the database image as it stood where a journal segment begins.
 *
 * | bytes | field |
 * | --- | --- |
 * | 3 | `GHS` |
 * | 1 | format 1 |
 * | 16 | vault id |
 * | 8 | number of the first segment that is not in it |
 * | 8 | newest sequence in it |
 * | 8 | newest sequence with audit events in it |
 * | 32 | journal chain at that point |
 * | 8 | size of the image |
 * | … | chunks: 32 salt · 32 commitment · ciphertext of 64 KiB (the last one: what is left, at least 1) · 16 tag |
 *
 * Each chunk is bound to the 84 bytes of the header, its index (u32) and whether it is the last (u8).
 */

const MAGIC = utf8("GHS");
const FORMAT = 1;
const CHUNK_BYTES = 65_536;
/** Two milliseconds or so. */
const CHUNKS_A_STEP = 16;
const HEADER_BYTES = 3 + 1 + 16 + 8 + 8 + 8 + 32 + 8;

export interface Snapshot {
  readonly position: JournalPosition;
  /** What `Image.open` takes. */
  readonly image: Uint8Array;
}

/** The whole file. `image` is not empty. */
export function sealSnapshot(input: {
  readonly keys: StorageKeys;
  readonly number: number;
  readonly snapshot: Snapshot;
  readonly random: Random;
}): Uint8Array {
  const { keys, snapshot, random } = input;
  const header = encodeHeader(keys, input.number, snapshot);
  const chunks = chunkRanges(snapshot.image.length).map(({ start, end, isLast }, index) =>
    sealOnce({
      ...{ key: keys.snapshot, label: LABELS.vaultSnapshot, header, random },
      associatedData: chunkBinding(index, isLast),
      plaintext: snapshot.image.subarray(start, end),
    }),
  );
  return concat(header, ...chunks);
}

export interface SealedSnapshot {
  readonly keys: StorageKeys;
  readonly path: string;
  readonly number: number;
  readonly bytes: Uint8Array;
}

/**
 * @throws GatehouseError `vault.damaged` unless `bytes` is exactly the snapshot called `number` of this vault;
 * `vault.unknown-format`.
 */
export function openSnapshot(input: SealedSnapshot): Snapshot {
  const steps = openingSteps(input);
  let step = steps.next();
  while (step.done !== true) step = steps.next();
  return step.value;
}

/** The same, with the event loop's turns between its pieces: opening it at once takes two milliseconds a megabyte. */
export async function openSnapshotBetweenTurns(input: SealedSnapshot): Promise<Snapshot> {
  const steps = openingSteps(input);
  let step = steps.next();
  while (step.done !== true) {
    await setImmediate();
    step = steps.next();
  }
  return step.value;
}

/** Yields after every `CHUNKS_A_STEP` chunks. */
function* openingSteps(input: SealedSnapshot): Generator<void, Snapshot, void> {
  const { keys, path, bytes } = input;
  checkFormat(path, bytes, {
    magic: MAGIC,
    known: FORMAT,
    verifies: (ours) => opens({ ...input, bytes: ours }),
  });
  if (bytes.length < HEADER_BYTES) throw damaged(path, bytes.length, "it ends early");
  const header = bytes.subarray(0, HEADER_BYTES);
  const { position, imageBytes } = parseHeader(input, header);
  // Checked before anything is allocated: the length is not proved until the chunks are.
  const overhead = Math.ceil(imageBytes / CHUNK_BYTES) * SEALED_OVERHEAD_BYTES;
  if (bytes.length !== HEADER_BYTES + imageBytes + overhead) {
    throw damaged(path, bytes.length, "its length is not what its header says");
  }
  const image = new Uint8Array(imageBytes);
  let offset = HEADER_BYTES;
  for (const [index, { start, end, isLast }] of chunkRanges(imageBytes).entries()) {
    const sealed = bytes.subarray(offset, offset + end - start + SEALED_OVERHEAD_BYTES);
    const associatedData = chunkBinding(index, isLast);
    const chunk = openOnce({
      key: keys.snapshot,
      label: LABELS.vaultSnapshot,
      header,
      associatedData,
      sealed,
    });
    if (chunk === undefined) throw damaged(path, offset, "a chunk does not open");
    image.set(chunk, start);
    offset += sealed.length;
    if (index % CHUNKS_A_STEP === CHUNKS_A_STEP - 1) yield;
  }
  return { position, image };
}

function opens(input: SealedSnapshot): boolean {
  try {
    openSnapshot(input);
    return true;
  } catch {
    return false;
  }
}

function encodeHeader(keys: StorageKeys, number: number, { position, image }: Snapshot): Uint8Array {
  return new ByteWriter()
    .raw(MAGIC)
    .u8(FORMAT)
    .raw(fromHex(keys.vaultId))
    .u64(number)
    .u64(position.sequence)
    .u64(position.auditedSequence)
    .raw(position.chain)
    .u64(image.length)
    .finish();
}

function parseHeader(
  { keys, path, number }: { readonly keys: StorageKeys; readonly path: string; readonly number: number },
  header: Uint8Array,
): { readonly position: JournalPosition; readonly imageBytes: number } {
  const expected = new ByteWriter().raw(MAGIC).u8(FORMAT).raw(fromHex(keys.vaultId)).u64(number).finish();
  if (!equalBytes(header.subarray(0, expected.length), expected)) {
    throw damaged(path, 0, "it is not the snapshot its name says");
  }
  const reader = new ByteReader(header.subarray(expected.length));
  try {
    const position = { sequence: reader.u64(), auditedSequence: reader.u64(), chain: copyOf(reader.raw(32)) };
    const imageBytes = reader.u64();
    if (imageBytes < 1) throw new MalformedBytes("empty image");
    return { position, imageBytes };
  } catch {
    // A number above 2^53 − 1, or an empty image.
    throw damaged(path, expected.length, "its header is malformed");
  }
}

interface ChunkRange {
  readonly start: number;
  readonly end: number;
  readonly isLast: boolean;
}

function chunkRanges(sizeBytes: number): readonly ChunkRange[] {
  return Array.from({ length: Math.ceil(sizeBytes / CHUNK_BYTES) }, (_, index) => {
    const start = index * CHUNK_BYTES;
    const end = Math.min(start + CHUNK_BYTES, sizeBytes);
    return { start, end, isLast: end === sizeBytes };
  });
}

function chunkBinding(index: number, isLast: boolean): Uint8Array {
  return new ByteWriter()
    .u32(index)
    .u8(isLast ? 1 : 0)
    .finish();
}
