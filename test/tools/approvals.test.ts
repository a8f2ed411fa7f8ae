import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { equalBytes, isGatehouseError, MalformedBytes } from "../../src/core/index.ts";
import {
  APPROVAL_STATES,
  type Approval,
  type ApprovalUse,
  decideApproval,
  decodeApproval,
  encodeApproval,
  expireApproval,
  isApprovalId,
  isOpen,
  requestApproval,
  useApproval,
  withdrawApproval,
} from "../../src/tools/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { failureOf } from "./support.ts";

const AT = 1_700_000_000_000;
const HASH = "ab".repeat(32);
const CALL = { tool: "deploy", argumentsHash: HASH, policyVersion: 7, requestedBy: "asker" };

const ask = (lifetimeMs?: number): Approval =>
  requestApproval({
    ...{ ...CALL, arguments: { ref: "main", dry: "false" }, at: AT },
    ...(lifetimeMs === undefined ? {} : { lifetimeMs }),
  });
const approve = (approval: Approval, at = AT + 1): Approval =>
  decideApproval(approval, { by: "approver", verdict: "approved", at });
const deny = (approval: Approval, reason?: string): Approval =>
  decideApproval(approval, { by: "approver", verdict: "denied", at: AT + 1, reason });
const use = (approval: Approval, changes: Partial<ApprovalUse> = {}): Approval =>
  useApproval(approval, { ...CALL, at: AT + 2, ...changes });

describe("an approval", () => {
  it("is asked for, given and used once", () => {
    const asked = ask();
    expect(asked).toMatchObject({ ...CALL, state: "pending", requestedAt: AT, expiresAt: AT + 600_000 });
    const approved = approve(asked);
    expect(approved).toMatchObject({ state: "approved", decidedBy: "approver", decidedAt: AT + 1 });
    expect(approved.expiresAt).toBe(AT + 1 + 300_000);
    const used = use(approved);
    expect(used.state).toBe("used");
    expect(failureOf(() => use(used))).toContain("approval.used");
    expect([asked.state, approved.state]).toEqual(["pending", "approved"]);
    expect([asked, approved, used].every(Object.isFrozen)).toBe(true);
  });

  it("has an id of 128 random bits", () => {
    expect(ask().id).toMatch(/^[a-z2-7]{26}$/);
    expect(isApprovalId(ask().id)).toBe(true);
    expect(new Set(Array.from({ length: 100 }, () => ask().id)).size).toBe(100);
    const random = new SeededRandom(1);
    const ids = [random, random].map(
      (source) => requestApproval({ ...CALL, arguments: {}, at: AT, random: source }).id,
    );
    expect(ids[0]).not.toBe(ids[1]);
    const [zeros, ones] = [0, 255].map((byte) => ({
      bytes: (length: number) => new Uint8Array(length).fill(byte),
    }));
    const idOf = (source = zeros): string =>
      source === undefined ? "" : requestApproval({ ...CALL, arguments: {}, at: AT, random: source }).id;
    expect([idOf(zeros), idOf(ones)]).toEqual(["a".repeat(26), `${"7".repeat(25)}4`]);
    for (const text of [
      "",
      "a".repeat(25),
      "a".repeat(27),
      `${"a".repeat(25)}b`,
      "A".repeat(26),
      "1".repeat(26),
    ]) {
      expect(isApprovalId(text)).toBe(false);
    }
  });

  it("cannot be given by the device that asked", () => {
    const failure = failureOf(() => decideApproval(ask(), { by: "asker", verdict: "approved", at: AT }));
    expect(failure).toContain("approval.self: whoever asked cannot decide");
  });

  it("is decided once", () => {
    for (const decided of [
      approve(ask()),
      deny(ask()),
      use(approve(ask())),
      withdrawApproval(ask(), "asker"),
    ]) {
      expect(failureOf(() => approve(decided))).toContain(
        `approval.decided: the approval is ${decided.state} already`,
      );
    }
  });

  it("is good for nothing else", () => {
    const approved = approve(ask());
    for (const changes of [
      { tool: "delete" },
      { argumentsHash: "cd".repeat(32) },
      { requestedBy: "other" },
    ]) {
      expect(failureOf(() => use(approved, changes))).toContain("approval.mismatch");
      expect(failureOf(() => use(ask(), changes))).toContain("approval.mismatch");
    }
    expect(failureOf(() => use(approved, { policyVersion: 8 }))).toContain("approval.stale");
  });

  it("says what is missing, and why not", () => {
    const asked = ask();
    expect(failureOf(() => use(asked))).toBe(
      "approval.required: nobody has decided on the call yet " +
        `(another device must decide: gatehouse approval approve ${asked.id})`,
    );
    expect(failureOf(() => use(deny(ask(), "not on\u001b[2J a\n Friday\u202e")))).toBe(
      "approval.denied: the call was denied (not on [2J a  Friday)",
    );
    expect(failureOf(() => use(deny(ask())))).toContain("(ask whoever denied it why)");
    expect(failureOf(() => use(withdrawApproval(ask(), "asker")))).toContain(
      "approval.denied: the question was",
    );
    expect(deny(ask(), "😀".repeat(300)).reason).toBe("😀".repeat(256));
  });

  it("ends at its time, before the answer and after", () => {
    const asked = ask(1_000);
    expect(approve(asked, AT + 999).state).toBe("approved");
    expect(failureOf(() => approve(asked, AT + 1_000))).toContain("approval.expired");
    expect(failureOf(() => use(asked, { at: AT + 1_000 }))).toContain("approval.expired");
    const approved = approve(ask(), AT);
    expect(use(approved, { at: AT + 299_999 }).state).toBe("used");
    expect(failureOf(() => use(approved, { at: AT + 300_000 }))).toContain("approval.expired");
    expect(expireApproval(approved, AT + 299_999)).toBe(approved);
    const expired = expireApproval(approved, AT + 300_000);
    expect(expired.state).toBe("expired");
    expect(failureOf(() => use(expired, { at: AT }))).toContain("approval.expired");
    expect(failureOf(() => approve(expired))).toContain("approval.expired");
    const used = use(approved);
    expect(expireApproval(used, AT + 10 ** 9)).toBe(used);
  });

  it("waits for an hour at most", () => {
    expect(ask(3_600_000).expiresAt).toBe(AT + 3_600_000);
    for (const lifetimeMs of [0, -1, 0.5, 3_600_001, Number.NaN])
      expect(() => ask(lifetimeMs)).toThrow(RangeError);
  });

  it("is withdrawn by whoever asked, until it is used", () => {
    expect(withdrawApproval(ask(), "asker").state).toBe("withdrawn");
    expect(withdrawApproval(approve(ask()), "asker").state).toBe("withdrawn");
    expect(failureOf(() => withdrawApproval(ask(), "approver"))).toContain("approval.mismatch");
    expect(failureOf(() => withdrawApproval(use(approve(ask())), "asker"))).toContain("approval.decided");
  });

  it("only ever goes on, is used once, and never after its time", () => {
    const step = fc.record({
      do: fc.constantFrom("approve", "deny", "use", "expire", "withdraw"),
      by: fc.constantFrom("asker", "approver"),
      afterMs: fc.nat(400_000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        let [approval, at, uses] = [ask(), AT, 0];
        for (const { do: what, by, afterMs } of steps) {
          at += afterMs;
          const before = approval;
          approval = stepped(before, { what, by, at });
          if (approval === before) continue;
          expect(isOpen(before)).toBe(true);
          expect(NEXT[before.state]).toContain(approval.state);
          const isFair = at < before.expiresAt && before.decidedBy === "approver";
          expect(approval.state !== "used" || isFair).toBe(true);
          if (approval.state === "used") uses += 1;
        }
        expect(uses).toBeLessThanOrEqual(1);
      }),
      { numRuns: 500 },
    );
  });
});

const NEXT: Readonly<Record<string, readonly string[]>> = {
  pending: ["approved", "denied", "expired", "withdrawn"],
  approved: ["used", "expired", "withdrawn"],
};

/** As it was when the step is refused. */
function stepped(approval: Approval, step: { what: string; by: string; at: number }): Approval {
  const { what, by, at } = step;
  try {
    if (what === "approve") return decideApproval(approval, { by, verdict: "approved", at });
    if (what === "deny") return decideApproval(approval, { by, verdict: "denied", at });
    if (what === "use") return useApproval(approval, { ...CALL, at });
    return what === "expire" ? expireApproval(approval, at) : withdrawApproval(approval, by);
  } catch (error) {
    if (!isGatehouseError(error)) throw error;
    return approval;
  }
}

describe("an approval's bytes", () => {
  const samples = (): readonly Approval[] => [
    ask(),
    approve(ask()),
    deny(ask(), "nein, 😀"),
    use(approve(ask())),
    expireApproval(ask(), AT + 10 ** 9),
    withdrawApproval(approve(ask()), "asker"),
    requestApproval({ ...CALL, arguments: { constructor: "a\nb", b: "" }, at: AT }),
  ];

  it("say all of it, in every state", () => {
    expect(new Set(samples().map(({ state }) => state)).size).toBe(APPROVAL_STATES.length);
    for (const approval of samples()) {
      const decoded = decodeApproval(encodeApproval(approval));
      expect(decoded).toEqual(approval);
      expect(Object.isFrozen(decoded) && Object.isFrozen(decoded.arguments)).toBe(true);
    }
  });

  it("are refused when they end early or late", () => {
    const bytes = encodeApproval(deny(ask(), "no"));
    for (let length = 0; length < bytes.length; length += 1) {
      expect(() => decodeApproval(bytes.subarray(0, length))).toThrow(MalformedBytes);
    }
    expect(() => decodeApproval(new Uint8Array([...bytes, 0]))).toThrow(MalformedBytes);
  });

  it("are refused, or another approval's, with any bit flipped", () => {
    for (const approval of [ask(), deny(ask(), "no")]) {
      const bytes = encodeApproval(approval);
      const unfaithful: number[] = [];
      for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
        const changed = Uint8Array.from(bytes, (byte, index) =>
          index === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte,
        );
        const read = reading(changed);
        if (read !== undefined && !equalBytes(encodeApproval(read), changed)) unfaithful.push(bit);
      }
      expect(unfaithful).toEqual([]);
    }
  });

  it("have one order of arguments, a known version, and somebody who decided where somebody must", () => {
    const bytes = encodeApproval(ask());
    const dry = Buffer.from(bytes).indexOf("dry") - 4;
    const [drySize, refSize] = [4 + 3 + 4 + 5, 4 + 3 + 4 + 4];
    const swapped = Uint8Array.from(bytes);
    swapped.set(bytes.subarray(dry + drySize, dry + drySize + refSize), dry);
    swapped.set(bytes.subarray(dry, dry + drySize), dry + refSize);
    for (const changed of [
      swapped,
      bytes.with(0, 2),
      bytes.with(1, 1),
      bytes.with(1, 6),
      encodeApproval(approve(ask())).with(1, 0),
    ]) {
      expect(() => decodeApproval(changed)).toThrow(MalformedBytes);
    }
  });

  it("fit a record, with the most that a call may have", () => {
    const value = "😀".repeat(4_096);
    const call = { ...CALL, arguments: { a: value, b: value, c: value, d: value.slice(0, 8_000) }, at: AT };
    const approval = deny(requestApproval(call), "😀".repeat(256));
    expect(encodeApproval(approval).length).toBeLessThan(131_072);
  });
});

function reading(bytes: Uint8Array): Approval | undefined {
  try {
    return decodeApproval(bytes);
  } catch (error) {
    if (error instanceof MalformedBytes) return undefined;
    throw error;
  }
}
