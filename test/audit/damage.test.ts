import { createSecretKey } from "node:crypto";
import { rename, rm } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { AuditDamage, verifyAuditLog } from "../../src/audit/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import {
  copyOf,
  fields,
  fillSegments,
  freshDir,
  groupOffsets,
  KEY,
  openLog,
  putSegment,
  resourcesOf,
  SEGMENT_HEADER_BYTES,
  segmentBytes,
  segmentPath,
  writtenLog,
} from "./fixture.ts";

const FILE = "segment-00000001.gha";

describe("a log whose last file ends early", () => {
  it("at any length keeps its whole groups, drops the torn one, and goes on", async () => {
    const whole = await segmentBytes(await writtenLog(3));
    const offsets = groupOffsets(whole);
    const dir = await freshDir();
    for (let length = SEGMENT_HEADER_BYTES; length <= whole.length; length += 1) {
      await putSegment(dir, whole.subarray(0, length));
      const kept = offsets.filter((offset) => offset <= length).length - 1;
      await using log = await openLog(dir);
      expect([length, log.head.sequence]).toEqual([length, kept]);
      await log.append(fields({ resource: "after" }));
      expect(await log.verify()).toMatchObject({ kind: "intact", head: { sequence: kept + 1 } });
      expect((await resourcesOf(log)).at(-1)).toBe("after");
    }
  });

  it("inside its header is damaged", async () => {
    const whole = await segmentBytes(await writtenLog(1));
    const dir = await freshDir();
    for (let length = 0; length < SEGMENT_HEADER_BYTES; length += 1) {
      await putSegment(dir, whole.subarray(0, length));
      await expect(openLog(dir)).rejects.toMatchObject({
        code: "audit.damaged",
        place: { file: FILE, offset: 0 },
      });
      expect((await segmentBytes(dir)).length).toBe(length);
    }
  });

  it("is reported as torn by a check of the files alone, which changes nothing", async () => {
    const dir = await writtenLog(2);
    const whole = await segmentBytes(dir);
    const offset = groupOffsets(whole)[1] ?? 0;
    await putSegment(dir, whole.subarray(0, whole.length - 1));
    expect(await verifyAuditLog({ dir, key: KEY })).toMatchObject({
      kind: "intact",
      head: { sequence: 1 },
      tornAt: { file: FILE, offset },
    });
    expect((await segmentBytes(dir)).length).toBe(whole.length - 1);
  });
});

describe("a log with one changed byte", () => {
  it("anywhere refuses to open, names the file and the group, and is left as it is", async () => {
    const whole = await segmentBytes(await writtenLog(3));
    const offsets = [0, ...groupOffsets(whole)];
    const random = new SeededRandom(3);
    const dir = await freshDir();
    for (let index = 0; index < whole.length; index += 1) {
      const flipped = Buffer.from(whole);
      flipped[index] = (flipped[index] ?? 0) ^ (1 << Math.floor(random.next() * 8));
      await putSegment(dir, flipped);
      const offset = Math.max(...offsets.filter((start) => start <= index));
      await expect(openLog(dir)).rejects.toMatchObject({
        code: "audit.damaged",
        place: { file: FILE, offset },
      });
      expect(await segmentBytes(dir)).toEqual(flipped);
    }
  });

  it("in an older file is found by verify, which names file, offset and record", async () => {
    const dir = await freshDir();
    await using log = await openLog(dir);
    await fillSegments(log, 2);
    const bytes = await segmentBytes(dir);
    const offsets = groupOffsets(bytes);
    const offset = offsets[2] ?? 0;
    bytes[offset + 500] = (bytes[offset + 500] ?? 0) ^ 1;
    await putSegment(dir, bytes);
    const before = bytes.readUInt32BE((offsets[0] ?? 0) + 4) + bytes.readUInt32BE((offsets[1] ?? 0) + 4);
    const place = { file: FILE, offset, sequence: before + 1 };
    expect(await log.verify()).toMatchObject({ kind: "damaged", place });
    await expect(resourcesOf(log)).rejects.toBeInstanceOf(AuditDamage);
    expect(await verifyAuditLog({ dir, key: KEY })).toMatchObject({ kind: "damaged", place });
  });
});

describe("a log that somebody edited", () => {
  it("by taking out a group is found damaged at that place", async () => {
    const dir = await writtenLog(5);
    const bytes = await segmentBytes(dir);
    const offsets = groupOffsets(bytes);
    for (let group = 0; group < 4; group += 1) {
      const [from, to] = [offsets[group] ?? 0, offsets[group + 1] ?? 0];
      await putSegment(dir, Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]));
      expect(await verifyAuditLog({ dir, key: KEY })).toMatchObject({
        kind: "damaged",
        place: { file: FILE, offset: from, sequence: group + 1 },
      });
    }
  });

  it("by taking out the last group is found damaged by the log that wrote it", async () => {
    const dir = await freshDir();
    await using log = await openLog(dir);
    for (const resource of ["a", "b"]) await log.append(fields({ resource }));
    const bytes = await segmentBytes(dir);
    await putSegment(dir, bytes.subarray(0, groupOffsets(bytes)[1]));
    expect(await log.verify()).toMatchObject({ kind: "damaged", place: { file: FILE, sequence: 2 } });
  });

  it("by exchanging two groups is found damaged at the first", async () => {
    const dir = await writtenLog(4);
    const bytes = await segmentBytes(dir);
    const [a = 0, b = 0, c = 0] = groupOffsets(bytes).slice(1);
    const swapped = [bytes.subarray(0, a), bytes.subarray(b, c), bytes.subarray(a, b), bytes.subarray(c)];
    await putSegment(dir, Buffer.concat(swapped));
    expect(await verifyAuditLog({ dir, key: KEY })).toMatchObject({
      kind: "damaged",
      place: { file: FILE, offset: a, sequence: 2 },
    });
  });

  it("by writing a group twice is found damaged at the second", async () => {
    const dir = await writtenLog(2);
    const bytes = await segmentBytes(dir);
    await putSegment(dir, Buffer.concat([bytes, bytes.subarray(groupOffsets(bytes)[1])]));
    await expect(openLog(dir)).rejects.toMatchObject({ place: { offset: bytes.length, sequence: 3 } });
  });

  it("by continuing an older copy of it is found out by the log that wrote the newer", async () => {
    const dir = await freshDir();
    const log = await openLog(dir);
    await log.append(fields({ resource: "common" }));
    const fork = await copyOf(dir);
    await log.append(fields({ resource: "mine" }));
    const other = await openLog(fork);
    await other.append(fields({ resource: "theirs" }));
    await other[Symbol.asyncDispose]();
    await putSegment(dir, await segmentBytes(fork));
    expect(await log.verify()).toMatchObject({ kind: "damaged", place: { sequence: 2 } });
    await log[Symbol.asyncDispose]();
  });

  it("by removing, exchanging or importing whole files is found damaged at that file", async () => {
    const dir = await freshDir();
    await using log = await openLog(dir);
    await fillSegments(log, 3);

    const gap = await copyOf(dir);
    await rm(segmentPath(gap, 2));
    const missing = { file: "segment-00000002.gha", offset: 0 };
    expect(await verifyAuditLog({ dir: gap, key: KEY })).toMatchObject({ kind: "damaged", place: missing });
    await expect(openLog(gap)).rejects.toMatchObject({ code: "audit.damaged", place: missing });

    const swapped = await copyOf(dir);
    await rename(segmentPath(swapped, 1), `${swapped}/x`);
    await rename(segmentPath(swapped, 2), segmentPath(swapped, 1));
    await rename(`${swapped}/x`, segmentPath(swapped, 2));
    expect(await verifyAuditLog({ dir: swapped, key: KEY })).toMatchObject({
      kind: "damaged",
      place: { file: FILE },
    });

    const mixed = await copyOf(dir);
    await putSegment(mixed, await segmentBytes(await writtenLog(2)));
    expect(await verifyAuditLog({ dir: mixed, key: KEY })).toMatchObject({
      kind: "damaged",
      place: { file: FILE, offset: 0, sequence: 1 },
    });

    const torn = await copyOf(dir);
    const bytes = await segmentBytes(torn);
    await putSegment(torn, bytes.subarray(0, bytes.length - 1));
    const offset = groupOffsets(bytes).at(-2);
    expect(await verifyAuditLog({ dir: torn, key: KEY })).toMatchObject({
      kind: "damaged",
      place: { file: FILE, offset },
    });
  });

  it("or that was written under another key, refuses to open", async () => {
    const dir = await writtenLog(1);
    const key = createSecretKey(new Uint8Array(32).fill(8));
    await expect(openLog(dir, { key })).rejects.toMatchObject({ code: "audit.damaged" });
    await expect(openLog(dir, { key })).rejects.toThrow(/the key is another one/);
  });

  it("by removing every file is damaged to a check, since a log always has one", async () => {
    expect(await verifyAuditLog({ dir: await freshDir(), key: KEY })).toMatchObject({ kind: "damaged" });
  });
});
