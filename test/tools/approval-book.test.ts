import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isGatehouseError, MalformedBytes } from "../../src/core/index.ts";
import { ApprovalBook, type ApprovalPlan, type ApprovalQuestion } from "../../src/tools/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { failureOf } from "./support.ts";

const AT = 1_700_000_000_000;
const DAY_MS = 86_400_000;

/** Records in memory, and a book that hears of each change as of one on disk. */
class Shelf {
  readonly records = new Map<string, Uint8Array>();
  readonly random = new SeededRandom(5);
  book = new ApprovalBook(this, this.random);

  get(key: string): Uint8Array | undefined {
    return this.records.get(key);
  }

  list(prefix: string) {
    return [...this.records]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, body]) => ({ key, body }))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  store({ changes, result }: ApprovalPlan): ApprovalPlan["result"] {
    for (const { key, body } of changes) {
      if (body === undefined) this.records.delete(key);
      else this.records.set(key, body);
      this.book.follow(key);
    }
    return result;
  }

  reopen(): void {
    this.book = new ApprovalBook(this, this.random);
  }

  ask(changes: Partial<ApprovalQuestion> = {}) {
    return this.store(this.book.planRequest(question(changes)));
  }

  approve(id: string, at = AT) {
    return this.store(this.book.planDecide(id, { by: "approver", verdict: "approved", at }));
  }

  use(id: string, changes: Partial<ApprovalQuestion> = {}) {
    return this.store(this.book.planUse(id, question(changes)));
  }

  states(at = AT): readonly string[] {
    return this.book.list(at).map(({ state }) => state);
  }
}

function question(changes: Partial<ApprovalQuestion> = {}): ApprovalQuestion {
  return {
    ...{ tool: "deploy", argumentsHash: "ab".repeat(32), policyVersion: 7, requestedBy: "phone", at: AT },
    ...{ arguments: { ref: "main" }, ...changes },
  };
}

const other = (index: number) => ({ argumentsHash: index.toString(16).padStart(64, "0") });

describe("a book of approvals", () => {
  it("answers the open question for a call that is asked again, until it is over", () => {
    const shelf = new Shelf();
    const first = shelf.ask();
    const again = shelf.book.planRequest(question({ at: AT + 1 }));
    expect(again).toEqual({ changes: [], result: first });
    for (const changes of [
      ...[{ tool: "other" }, other(1), { policyVersion: 8 }, { requestedBy: "laptop" }],
    ]) {
      expect(shelf.ask(changes).id).not.toBe(first.id);
    }
    shelf.approve(first.id);
    expect(shelf.ask().id).toBe(first.id);
    expect(shelf.book.openFor(question())?.state).toBe("approved");
    shelf.use(first.id);
    expect(shelf.book.openFor(question())).toBeUndefined();
    expect(shelf.ask().id).not.toBe(first.id);
  });

  it("lets an approval be used once, also by two who planned it before", () => {
    const shelf = new Shelf();
    const { id } = shelf.ask();
    expect(failureOf(() => shelf.use(id))).toContain("approval.required");
    shelf.approve(id);
    expect(shelf.use(id).state).toBe("used");
    expect(failureOf(() => shelf.use(id))).toContain("approval.used");
    shelf.reopen();
    expect(failureOf(() => shelf.use(id))).toContain("approval.used");
    expect(failureOf(() => shelf.approve(id))).toContain("approval.decided");
  });

  it("changes by what is stored alone: a plan that is not stored is as if it had not been", () => {
    const shelf = new Shelf();
    const { id } = shelf.ask();
    shelf.book.planDecide(id, { by: "approver", verdict: "denied", at: AT });
    shelf.book.planRequest(question(other(1)));
    expect(shelf.states()).toEqual(["pending"]);
    const [plan, late] = ["approver", "second"].map((by) =>
      shelf.book.planDecide(id, { by, verdict: "approved", at: AT }),
    );
    if (plan === undefined || late === undefined) throw new Error("no plan");
    shelf.store(plan);
    expect(shelf.book.get(id, AT)?.decidedBy).toBe("approver");
    shelf.records.delete(id);
    shelf.book.follow(id);
    expect(shelf.book.get(id, AT)).toBeUndefined();
  });

  it("has 16 open questions of one device, and 256 in all; what is over makes room", () => {
    const shelf = new Shelf();
    const asked = Array.from({ length: 16 }, (_, index) => shelf.ask(other(index)));
    const [first] = asked;
    expect(failureOf(() => shelf.ask(other(16)))).toContain("approval.too-many: this device waits for 16");
    // A yes that is not used yet counts.
    shelf.approve(first?.id ?? "");
    expect(failureOf(() => shelf.ask(other(16)))).toContain("approval.too-many");
    shelf.store(shelf.book.planWithdraw(first?.id ?? "", "phone", AT));
    expect(shelf.ask(other(16)).state).toBe("pending");
    for (let device = 1; device < 16; device += 1) {
      for (let index = 0; index < 16; index += 1)
        shelf.ask({ ...other(index), requestedBy: `device${device}` });
    }
    expect(shelf.book.open).toHaveLength(256);
    expect(failureOf(() => shelf.ask({ requestedBy: "last" }))).toContain("approval.too-many: the gatehouse");
    // Those that are due are over, written down or not.
    expect(shelf.ask({ requestedBy: "last", at: AT + 600_000 }).state).toBe("pending");
  });

  it("keeps 500 that are over, for 30 days, and no open one goes", () => {
    const shelf = new Shelf();
    const open = shelf.ask({ requestedBy: "patient", at: AT + 550 });
    const ended: string[] = [];
    for (let index = 0; index < 503; index += 1) {
      const { id } = shelf.ask({ ...other(index), at: AT + index });
      shelf.store(shelf.book.planWithdraw(id, "phone", AT + index));
      ended.push(id);
    }
    const kept = () => shelf.book.list(AT + 600).map(({ id }) => id);
    shelf.ask({ ...other(999), at: AT + 600 });
    expect(kept()).toHaveLength(502);
    expect(kept()).toContain(open.id);
    expect(kept()).not.toContain(ended[2]);
    expect(kept()).toContain(ended[3]);
    expect(shelf.records.size).toBe(502);
    const later = AT + 30 * DAY_MS + 601;
    const next = shelf.ask({ ...other(1), at: later });
    // The two that were open have expired, and are as old.
    expect(shelf.book.list(later).map(({ id }) => id)).toEqual([next.id]);
  });

  it("sees what is due as expired at once, and for good, though the clock is set back", () => {
    const shelf = new Shelf();
    const { id } = shelf.ask();
    expect(shelf.book.get(id, AT + 599_999)?.state).toBe("pending");
    expect(shelf.book.get(id, AT + 600_000)?.state).toBe("expired");
    expect(shelf.book.get(id, AT)?.state).toBe("expired");
    expect(failureOf(() => shelf.approve(id, AT))).toContain("approval.expired");
    expect(failureOf(() => shelf.use(id))).toContain("approval.expired");
    expect(shelf.book.openFor(question())).toBeUndefined();
    // It is not written down yet.
    expect(shelf.book.open.map((approval) => approval.id)).toEqual([id]);
    expect(shelf.store(shelf.book.planExpire(id, AT + 600_000)).state).toBe("expired");
    expect(shelf.book.open).toEqual([]);
    shelf.reopen();
    expect(shelf.states()).toEqual(["expired"]);
  });

  it("writes down that one has expired only when it has", () => {
    const shelf = new Shelf();
    const { id } = shelf.ask();
    shelf.approve(id, AT + 599_999);
    expect(failureOf(() => shelf.book.planExpire(id, AT + 600_000))).toContain("approval.decided");
    shelf.use(id, { at: AT + 600_001 });
    expect(failureOf(() => shelf.book.planExpire(id, AT + DAY_MS))).toContain("approval.decided");
  });

  it("names first what expires first, and lists the newest first", () => {
    const shelf = new Shelf();
    const [first, second] = [shelf.ask(other(1)), shelf.ask({ ...other(2), at: AT + 10 })];
    expect(shelf.book.open.map(({ id }) => id)).toEqual([first.id, second.id]);
    shelf.approve(second.id, AT + 20);
    expect(shelf.book.open.map(({ id }) => id)).toEqual([second.id, first.id]);
    expect(shelf.book.list(AT + 20).map(({ id }) => id)).toEqual([second.id, first.id]);
  });

  it("finds one by 8 characters or more, in either case, when there is one such", () => {
    const shelf = new Shelf();
    const { id } = shelf.ask();
    for (const text of [id, id.slice(0, 8), id.toUpperCase()]) expect(shelf.book.find(text, AT).id).toBe(id);
    for (const text of ["", id.slice(0, 7), `${id}a`, "a".repeat(8)]) {
      expect(failureOf(() => shelf.book.find(text, AT))).toContain("approval.not-found: no such approval");
    }
    const body = shelf.records.get(id) ?? new Uint8Array();
    shelf.records.set(`${id.slice(0, 25)}x`, body);
    shelf.reopen();
    expect(failureOf(() => shelf.book.find(id.slice(0, 8), AT))).toContain("approval.not-found");
    expect(shelf.book.find(id, AT).id).toBe(id);
  });

  it("does not open over a record that is none", () => {
    const shelf = new Shelf();
    shelf.records.set("a", new Uint8Array([1, 2, 3]));
    expect(() => shelf.reopen()).toThrow(MalformedBytes);
  });

  it("opened again is the same book, whatever was done with it", () => {
    const step = fc.record({
      do: fc.constantFrom("ask", "approve", "deny", "use", "withdraw", "expire"),
      which: fc.nat(5),
      afterMs: fc.nat(200_000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const shelf = new Shelf();
        const uses = new Map<string, number>();
        let at = AT;
        for (const { do: what, which, afterMs } of steps) {
          at += afterMs;
          const call = question({ ...other(which), at });
          const id = shelf.book.list(at)[which]?.id ?? "";
          try {
            if (what === "ask") shelf.store(shelf.book.planRequest(call));
            else if (what === "approve") shelf.approve(id, at);
            else if (what === "deny")
              shelf.store(shelf.book.planDecide(id, { by: "approver", verdict: "denied", at }));
            else if (what === "withdraw") shelf.store(shelf.book.planWithdraw(id, "phone", at));
            else if (what === "expire") shelf.store(shelf.book.planExpire(id, at));
            else {
              const { argumentsHash } = shelf.book.find(id, at);
              shelf.use(id, { argumentsHash, at });
              uses.set(id, (uses.get(id) ?? 0) + 1);
            }
          } catch (failure) {
            if (!isGatehouseError(failure)) throw failure;
          }
          const before = shelf.book.list(at);
          shelf.reopen();
          expect(shelf.book.list(at)).toEqual(before);
        }
        expect(Math.max(0, ...uses.values())).toBeLessThanOrEqual(1);
      }),
      { numRuns: 60 },
    );
  });
});
