import { describe, expect, it } from "vitest";
import { SourceLedger } from "../../src/quic/source-ledger.ts";
import { ManualClock } from "../support/manual-clock.ts";

const limits = {
  ...{ handshakesPerSource: 2, handshakes: 5, handshakesBeforeRetry: 3 },
  ...{ failedSources: 3, failureMs: 1_000, failuresPerSource: 4 },
};

function setting() {
  const clock = new ManualClock();
  return { clock, ledger: new SourceLedger(limits, clock) };
}

const fail = (ledger: SourceLedger, source: string, isValidated: boolean): void => {
  ledger.began(source);
  ledger.ended(source, "failed", isValidated);
};

describe("the ledger of sources", () => {
  it("bounds what one source has under way, and what all have", () => {
    const { ledger } = setting();
    ledger.began("a");
    ledger.began("a");
    expect([ledger.judge("a", false), ledger.judge("b", false)]).toEqual(["refuse", "accept"]);
    ledger.began("b");
    ledger.began("b");
    ledger.began("c");
    expect(ledger.judge("d", true)).toBe("refuse");
    ledger.ended("a", "done", false);
    expect(ledger.judge("a", true)).toBe("accept");
    expect(ledger.halfOpen).toBe(4);
  });

  it("asks everybody for a token once many are under way", () => {
    const { ledger } = setting();
    for (const source of ["a", "b", "c"]) ledger.began(source);
    expect([ledger.judge("d", false), ledger.judge("d", true)]).toEqual(["retry", "accept"]);
  });

  it("asks a source that failed for a token, for a while", () => {
    const { clock, ledger } = setting();
    fail(ledger, "a", false);
    expect([ledger.judge("a", false), ledger.judge("a", true), ledger.judge("b", false)]).toEqual([
      "retry",
      "accept",
      "accept",
    ]);
    clock.advance(1_000);
    expect(ledger.judge("a", false)).toBe("accept");
  });

  it("shuts out who fails again and again under its own address, not whom others speak for", () => {
    const { clock, ledger } = setting();
    for (let time = 0; time < 50; time += 1) fail(ledger, "victim", false);
    expect(ledger.judge("victim", true)).toBe("accept");
    for (let time = 0; time < limits.failuresPerSource; time += 1) fail(ledger, "attacker", true);
    expect(ledger.judge("attacker", true)).toBe("refuse");
    clock.advance(1_000);
    expect(ledger.judge("attacker", true)).toBe("accept");
  });

  it("remembers a bounded number of sources, the latest", () => {
    const { ledger } = setting();
    for (const source of ["a", "b", "c", "d"]) fail(ledger, source, false);
    expect(["a", "b", "d"].map((source) => ledger.judge(source, false))).toEqual([
      "accept",
      "retry",
      "retry",
    ]);
  });
});
