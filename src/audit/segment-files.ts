import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { GatehouseError, isGatehouseError, LIMITS } from "../core/index.ts";
import { AppendFile } from "../files/index.ts";
import { AuditDamage } from "./damage.ts";
import { GROUP_HEADER_BYTES, SEGMENT_HEADER_BYTES } from "./segment-format.ts";
import type { SegmentBytes } from "./segment-walk.ts";

/** Records of one group with their own fields and seals: at most what may be pending, doubled. */
const SEGMENT_BYTES_MAX =
  SEGMENT_HEADER_BYTES + LIMITS.auditSegmentBytes + GROUP_HEADER_BYTES + 2 * LIMITS.auditPendingBytes;

const NAME = /^segment-(\d{8})\.gha$/;

export function segmentFile(number: number): string {
  return `segment-${String(number).padStart(8, "0")}.gha`;
}

/**
 * Numbers of the segments in `dir`, ascending; other files are not looked at.
 *
 * @throws AuditDamage when one is missing between others. @throws file.io
 */
export async function segmentNumbers(dir: string): Promise<readonly number[]> {
  const numbers = (await namesIn(dir))
    .map((name) => Number(NAME.exec(name)?.[1] ?? 0))
    .filter((number) => number > 0)
    .sort((a, b) => a - b);
  const gap = numbers.findIndex((number, index) => number !== index + 1);
  if (gap >= 0) throw missing(gap + 1);
  return numbers;
}

/** A whole segment, in memory. @throws AuditDamage when it is missing or larger than any we write. @throws file.io */
export async function readSegment(dir: string, number: number): Promise<SegmentBytes> {
  return await withSegment(dir, number, async (file) => {
    const name = segmentFile(number);
    if (file.size > SEGMENT_BYTES_MAX) {
      throw new AuditDamage("it is larger than a segment can be", {
        file: name,
        offset: 0,
        sequence: undefined,
      });
    }
    return { number, file: name, bytes: await file.readAll() };
  });
}

/** The first `length` bytes of a segment, fewer where it is shorter. @throws as `readSegment` */
export async function readSegmentStart(dir: string, number: number, length: number): Promise<Uint8Array> {
  return await withSegment(dir, number, (file) => file.read(0, length));
}

async function withSegment<Result>(
  dir: string,
  number: number,
  read: (file: AppendFile) => Promise<Result>,
): Promise<Result> {
  try {
    await using file = await AppendFile.open(join(dir, segmentFile(number)), { create: false });
    return await read(file);
  } catch (error) {
    if (isGatehouseError(error, "file.not-found")) throw missing(number);
    throw error;
  }
}

async function namesIn(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir);
  } catch (cause) {
    throw new GatehouseError("file.io", "the audit directory cannot be read", { cause });
  }
}

function missing(number: number): AuditDamage {
  return new AuditDamage("the file is missing", {
    file: segmentFile(number),
    offset: 0,
    sequence: undefined,
  });
}
