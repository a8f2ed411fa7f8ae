import { mkdir, stat } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AuditFields, decodeAuditEvent, encodeAuditEvent } from "../../src/audit/index.ts";
import { LIMITS, unixMs } from "../../src/core/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import {
  entriesOf,
  fields,
  fillSegments,
  freshDir,
  openLog,
  resourcesOf,
  SEGMENT_HEADER_BYTES,
  segmentBytes,
  segmentPath,
  writtenLog,
} from "./fixture.ts";

const FULL: AuditFields = {
  principal: "device-id",
  principalRole: "member",
  action: "secret:write",
  resource: "secret:shared/db",
  outcome: "denied",
  code: "authz.denied",
  policies: ["default/owner-everything", "default/no"],
  requestId: new Uint8Array(16).fill(9),
  wire: "quic",
  remoteAddress: "192.0.2.7",
  detail: { version: "3", "gatehouse:ping": "4" },
};

describe("an audit log", () => {
  it("gives back every field of an event, its time and an id of its own", async () => {
    const clock = new ManualClock();
    await using log = await openLog(await freshDir(), { clock });
    await log.append(FULL);
    clock.advance(5);
    await log.append(fields());
    const [first, second] = (await entriesOf(log)).map(({ event }) => event);
    expect(first).toEqual({
      ...FULL,
      policiesOmitted: 0,
      at: clock.now() - 5,
      eventId: expect.any(Uint8Array),
    });
    expect(second).toMatchObject({ principal: "", code: "", policies: [], detail: {}, at: clock.now() });
    expect(first?.eventId).toHaveLength(16);
    expect(first?.eventId).not.toEqual(second?.eventId);
  });

  it("numbers records without gaps, chains them, and goes on doing so when opened again", async () => {
    const dir = await writtenLog(3);
    await using log = await openLog(dir);
    await log.append(fields({ resource: "r4" }));
    const entries = await entriesOf(log);
    expect(entries.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4]);
    expect(entries.map(({ event }) => event.resource)).toEqual(["r1", "r2", "r3", "r4"]);
    expect(entries.slice(1).map(({ previousHash }) => previousHash)).toEqual(
      entries.slice(0, -1).map(({ hash }) => hash),
    );
    expect(log.head).toEqual({ sequence: 4, hash: entries[3]?.hash });
    expect(await log.verify()).toEqual({ kind: "intact", head: log.head, tornAt: undefined });
  });

  it("has an append in the file when it settles, though nothing was synced or closed", async () => {
    const dir = await freshDir();
    await using log = await openLog(dir);
    await log.append(fields({ resource: "written" }));
    await using other = await openLog(dir);
    expect(await resourcesOf(other)).toEqual(["written"]);
  });

  it("writes what one turn appends as one group, in order", async () => {
    const dir = await freshDir();
    await using log = await openLog(dir);
    const names = Array.from({ length: 100 }, (_, index) => `r${index}`);
    await Promise.all(names.map((resource) => log.append(fields({ resource }))));
    const bytes = await segmentBytes(dir);
    expect(bytes.readUInt32BE(SEGMENT_HEADER_BYTES + 4)).toBe(100);
    expect(bytes.length).toBe(SEGMENT_HEADER_BYTES + 32 + bytes.readUInt32BE(SEGMENT_HEADER_BYTES));
    expect(await resourcesOf(log)).toEqual(names);
  });

  it("keeps no plain text at rest, and its files to itself", async () => {
    const dir = await writtenLog(1);
    const bytes = await segmentBytes(dir);
    expect(bytes.includes("secret:reveal")).toBe(false);
    expect(bytes.includes("r1")).toBe(false);
    expect((await stat(segmentPath(dir))).mode & 0o777).toBe(0o600);
  });

  it("goes on in new files, across which the chain holds and reading finds its place", async () => {
    const dir = await freshDir();
    const log = await openLog(dir);
    await fillSegments(log, 3);
    const { sequence } = log.head;
    expect((await stat(segmentPath(dir, 3))).size).toBeGreaterThan(SEGMENT_HEADER_BYTES);
    expect(await log.verify()).toMatchObject({ kind: "intact", head: { sequence } });
    expect((await entriesOf(log)).map((entry) => entry.sequence)).toEqual(
      Array.from({ length: sequence }, (_, index) => index + 1),
    );
    for (const after of [0, 1, 74, 75, 76, sequence - 1, sequence, sequence + 5]) {
      expect((await entriesOf(log, after))[0]?.sequence).toBe(after < sequence ? after + 1 : undefined);
    }
    await log[Symbol.asyncDispose]();
    await using again = await openLog(dir);
    await again.append(fields());
    expect(await again.verify()).toMatchObject({ kind: "intact", head: { sequence: sequence + 1 } });
  });

  it("shows its newest records in order of age", async () => {
    await using log = await openLog(await writtenLog(5));
    expect((await log.tail(2)).map(({ event }) => event.resource)).toEqual(["r4", "r5"]);
    expect(await log.tail(0)).toEqual([]);
    expect(await log.tail(99)).toHaveLength(5);
    await expect(log.tail(10_001)).rejects.toThrow(RangeError);
  });

  it("takes appends while it is read, and the reader sees what was there when it began", async () => {
    await using log = await openLog(await writtenLog(3));
    const seen: string[] = [];
    for await (const { event } of log.records()) {
      seen.push(event.resource);
      await log.append(fields({ resource: "later" }));
    }
    expect(seen).toEqual(["r1", "r2", "r3"]);
    expect(log.head.sequence).toBe(6);
  });

  it("names 64 policies and counts the rest", async () => {
    await using log = await openLog(await freshDir());
    await log.append(fields({ policies: Array.from({ length: 70 }, (_, index) => `p${index}`) }));
    const [entry] = await log.tail(1);
    expect(entry?.event.policies).toHaveLength(64);
    expect(entry?.event.policiesOmitted).toBe(6);
  });

  it.each([
    ["over its size bound", fields({ resource: "x".repeat(LIMITS.auditRecordBytes) })],
    [
      "with 33 details",
      fields({ detail: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`k${n}`, ""])) }),
    ],
    ["with a detail that cannot be named so", fields({ detail: { "a b": "" } })],
  ])("refuses an event %s and goes on", async (_, event) => {
    await using log = await openLog(await freshDir());
    expect(() => log.encodeEvent(event)).toThrow(RangeError);
    await log.append(fields());
    expect(log.head.sequence).toBe(1);
  });

  it("turns appends away while too much waits, and takes them again after", async () => {
    await using log = await openLog(await freshDir());
    const large = fields({ detail: { padding: "x".repeat(60_000) } });
    const outcomes = await Promise.allSettled(Array.from({ length: 300 }, () => log.append(large)));
    const refused = outcomes.filter(({ status }) => status === "rejected");
    expect(refused.length).toBeGreaterThan(0);
    expect(refused[0]).toMatchObject({ reason: { code: "rpc.overloaded" } });
    expect(log.head.sequence).toBe(300 - refused.length);
    await log.append(large);
    expect(await log.verify()).toMatchObject({ kind: "intact" });
  });

  it("fails every append after the first that could not be written, until opened again", async () => {
    const dir = await freshDir();
    const log = await openLog(dir);
    await mkdir(segmentPath(dir, 2));
    const failed = expect.objectContaining({ code: "audit.unavailable" });
    await expect(fillSegments(log, 2)).rejects.toEqual(failed);
    const { sequence } = log.head;
    await expect(log.append(fields())).rejects.toEqual(failed);
    await expect(log.committed(1, [log.encodeEvent(fields())])).rejects.toEqual(failed);
    await expect(log.sync()).rejects.toEqual(failed);
    expect(log.failure).toEqual(failed);
    expect(log.head.sequence).toBe(sequence);
    await log[Symbol.asyncDispose]();
  });

  it("refuses appends after it was closed", async () => {
    const log = await openLog(await freshDir());
    await log[Symbol.asyncDispose]();
    await expect(log.append(fields())).rejects.toMatchObject({ code: "audit.unavailable" });
  });

  it("writes what waits when it is closed", async () => {
    const dir = await freshDir();
    const log = await openLog(dir);
    const waiting = log.append(fields({ resource: "last" }));
    await log[Symbol.asyncDispose]();
    await waiting;
    await using again = await openLog(dir);
    expect(await resourcesOf(again)).toEqual(["last"]);
  });
});

describe("counted actions", () => {
  it("become one summary a minute, and none when nothing happened", async () => {
    const clock = new ManualClock();
    await using log = await openLog(await freshDir(), { clock });
    for (let index = 0; index < 5; index += 1) log.count("gatehouse:ping");
    log.count("gatehouse:status");
    clock.advance(59_999);
    await log.sync();
    expect(log.head.sequence).toBe(0);
    clock.advance(1);
    await log.sync();
    clock.advance(600_000);
    await log.sync();
    expect((await log.tail(9)).map(({ event }) => [event.action, event.detail])).toEqual([
      ["audit:summary", { "gatehouse:ping": "5", "gatehouse:status": "1" }],
    ]);
  });

  it("are written at close", async () => {
    const dir = await freshDir();
    const log = await openLog(dir);
    log.count("gatehouse:ping");
    await log[Symbol.asyncDispose]();
    await using again = await openLog(dir);
    expect((await again.tail(1))[0]?.event.detail).toEqual({ "gatehouse:ping": "1" });
  });

  it("are of at most 30 kinds", async () => {
    await using log = await openLog(await freshDir());
    for (let index = 0; index < 30; index += 1) log.count(`a${index}`);
    log.count("a0");
    expect(() => log.count("a30")).toThrow(RangeError);
  });
});

describe("the vault's events", () => {
  it("are in the log under their journal sequence, all of a transaction in one group", async () => {
    const dir = await freshDir();
    await using log = await openLog(dir);
    expect(log.lastJournalSequence).toBe(0);
    const events = ["a", "b"].map((resource) => log.encodeEvent(fields({ resource, outcome: "done" })));
    await log.committed(7, events);
    expect(log.lastJournalSequence).toBe(7);
    expect((await log.tail(2)).map((entry) => [entry.journalSequence, entry.event.resource])).toEqual([
      [7, "a"],
      [7, "b"],
    ]);
  });

  it("that are handed over again after a crash are passed over", async () => {
    const dir = await freshDir();
    const log = await openLog(dir);
    const event = (resource: string) => [log.encodeEvent(fields({ resource }))];
    await Promise.all([log.committed(3, event("three")), log.committed(5, event("five"))]);
    await log.append(fields({ resource: "read" }));
    await log[Symbol.asyncDispose]();
    await using again = await openLog(dir);
    expect(again.lastJournalSequence).toBe(5);
    for (const [sequence, name] of [
      [3, "three"],
      [5, "five"],
      [6, "six"],
      [6, "six"],
    ] as const) {
      await again.committed(sequence, event(name));
    }
    expect(await resourcesOf(again)).toEqual(["three", "five", "read", "six"]);
    expect(again.lastJournalSequence).toBe(6);
  });

  it("keep their journal sequence across a change of files", async () => {
    const dir = await freshDir();
    const log = await openLog(dir);
    await log.committed(4, [log.encodeEvent(fields())]);
    await fillSegments(log, 2);
    await log[Symbol.asyncDispose]();
    await using again = await openLog(dir);
    expect((await stat(segmentPath(dir, 2))).size).toBeGreaterThan(0);
    expect(again.lastJournalSequence).toBe(4);
  });

  it("that are none are refused, and nothing of theirs is written", async () => {
    await using log = await openLog(await freshDir());
    const good = log.encodeEvent(fields());
    expect(() => log.committed(1, [good, new Uint8Array([255])])).toThrow(TypeError);
    expect(() => log.committed(1, [good, new Uint8Array(LIMITS.auditRecordBytes + 1)])).toThrow(RangeError);
    expect(() => log.committed(0, [good])).toThrow(RangeError);
    await log.sync();
    expect(log.head.sequence).toBe(0);
    await log.committed(1, [good]);
    expect(log.head.sequence).toBe(1);
  });
});

describe("bytes that somebody made up", () => {
  it("are an event with known fields, or a TypeError", () => {
    const known = Object.keys(decodeAuditEvent(encodeAuditEvent(FULL, unixMs(1), new Uint8Array(16)))).sort();
    const whole = encodeAuditEvent(FULL, unixMs(1), new Uint8Array(16));
    const mutated = fc
      .tuple(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length))
      .map(([at, byte, end]) => {
        const bytes = Uint8Array.from(whole.subarray(0, end));
        if (at < end) bytes[at] = byte;
        return bytes;
      });
    const seen = { events: 0, refused: 0 };
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), mutated), (bytes) => {
        try {
          expect(Object.keys(decodeAuditEvent(bytes)).sort()).toEqual(known);
          seen.events += 1;
        } catch (error) {
          if (!(error instanceof TypeError)) throw error;
          seen.refused += 1;
        }
      }),
      { numRuns: 2_000 },
    );
    expect(Math.min(seen.events, seen.refused)).toBeGreaterThan(0);
  });
});
