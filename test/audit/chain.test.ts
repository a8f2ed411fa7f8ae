import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AuditHead, type AuditRecord, extendChain, recordHash } from "../../src/audit/index.ts";
import { ByteWriter, hex, utf8 } from "../../src/core/index.ts";
import { LABELS, sha256 } from "../../src/crypto/index.ts";

const START: AuditHead = { sequence: 0, hash: new Uint8Array(32).fill(1) };

const events = fc.array(fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.nat({ max: 2 ** 31 })), {
  minLength: 2,
  maxLength: 12,
});

function chainOf(parts: readonly (readonly [Uint8Array, number])[]): AuditRecord[] {
  let head = START;
  return parts.map(([event, journalSequence]) => {
    const record = { sequence: head.sequence + 1, previousHash: head.hash, event, journalSequence };
    head = { sequence: record.sequence, hash: recordHash(record) };
    return record;
  });
}

/** Index of the first record that does not continue the chain; undefined when all do. */
function firstBad(records: readonly AuditRecord[]): number | undefined {
  let head = START;
  for (const [index, record] of records.entries()) {
    const next = extendChain(head, record);
    if (typeof next === "string") return index;
    head = next;
  }
  return undefined;
}

describe("the chain of records", () => {
  it("hashes the label and every field, each delimited", () => {
    fc.assert(
      fc.property(events, (parts) => {
        for (const record of chainOf(parts)) {
          const plain = new ByteWriter()
            .prefixed(utf8(LABELS.auditRecord))
            .u64(record.sequence)
            .prefixed(record.previousHash)
            .u64(record.journalSequence)
            .prefixed(record.event)
            .finish();
          expect(hex(recordHash(record))).toBe(hex(sha256(plain)));
        }
      }),
    );
  });

  it("holds for what was written, and breaks where a record was dropped, moved or changed", () => {
    fc.assert(
      fc.property(events, fc.nat(), fc.nat(), (parts, some, other) => {
        const records = chainOf(parts);
        expect(firstBad(records)).toBeUndefined();

        const dropped = some % (records.length - 1);
        expect(firstBad(records.toSpliced(dropped, 1))).toBe(dropped);

        const from = some % records.length;
        const to = (from + 1 + (other % (records.length - 1))) % records.length;
        const moved = records.slice();
        [moved[from], moved[to]] = [records[to] ?? fail(), records[from] ?? fail()];
        expect(firstBad(moved)).toBe(Math.min(from, to));

        // The record itself still fits what is before it; the one after it names another.
        const changed = records.with(dropped, {
          ...(records[dropped] ?? fail()),
          event: Uint8Array.of(...(records[dropped]?.event ?? []), 0),
        });
        expect(firstBad(changed)).toBe(dropped + 1);
      }),
    );
  });
});

function fail(): never {
  throw new Error("no such record");
}
