import { describe, expect, it } from "vitest";
import {
  figureOf,
  type Road,
  type RoundResult,
  verdictsOf,
  type WireName,
} from "../../bench/suites/lossy-figures.ts";
import type { CallsSample, ConnectSample } from "../../bench/suites/lossy-load.ts";
import { renderLossy } from "../../bench/suites/lossy-report.ts";

const link = {
  ...{ offered: 10, lost: 1, overflowed: 0, oversized: 0, lateOver1Ms: 2, latestMs: 1.5, refused: 0 },
  ...{ droppedByKernel: 0, cpuShare: 0.1 },
};

const sample = (callsPerSecond: number, p99Ms: number): CallsSample => ({ callsPerSecond, p50Ms: 50, p99Ms });
const connected = (ms: number): ConnectSample => ({ establishedMs: ms, firstReplyMs: 2 * ms, start: "cold" });

function round(parts: Partial<RoundResult> = {}): RoundResult {
  return {
    ...{ connects: [connected(50)], again: [], one: sample(20, 60), many: sample(600, 100) },
    ...{ transferMs: 500, link, failures: [], ...parts },
  };
}

const road: Road = { rttMs: 50, loss: 0.02 };

describe("a figure of the lossy suite", () => {
  it("is the median of the rounds' calls and of all rounds' connects together", () => {
    const rounds = [
      [1, 30],
      [9, 10],
      [5, 20],
    ] as const;
    const figure = figureOf(
      "gatehouse",
      road,
      rounds.map(([rate, p99]) => round({ many: sample(rate, p99), connects: [connected(p99)] })),
    );
    expect(figure.many).toEqual({ callsPerSecond: 5, latencyMs: { p50: 50, p99: 20 } });
    expect(figure.connect).toMatchObject({ samples: 3, early: 0, establishedMs: { p50: 20, p99: 30 } });
  });

  it("is DNF when most rounds did not finish, and the worst round when one did not", () => {
    const of = (...transfers: readonly (number | undefined)[]) =>
      figureOf(
        "grpc-js",
        road,
        transfers.map((transferMs) => round({ transferMs })),
      ).transferMs;
    expect(of(1, undefined, undefined)).toBe("DNF");
    expect(of(1, undefined, 3)).toBe(3);
    const calls = figureOf("grpc-js", road, [round({ many: undefined })]).many;
    expect(calls).toEqual({ callsPerSecond: "DNF", latencyMs: { p50: "DNF", p99: "DNF" } });
  });

  it("counts a connect that failed as slower than all that did not", () => {
    const connects = [connected(1), connected(2), {}];
    expect(figureOf("gatehouse", road, [round({ connects })]).connect.establishedMs).toEqual({
      p50: 2,
      p99: "DNF",
    });
    expect(figureOf("gatehouse", road, [round({ connects: [] })]).connect.firstReplyMs.p50).toBe("DNF");
  });

  it("adds up what the link says of its rounds", () => {
    const figure = figureOf("gatehouse", road, [round(), round({ link: { ...link, latestMs: 4 } })]);
    expect(figure.link).toMatchObject({ offered: 20, lost: 2, lateOver1Ms: 4, latestMs: 4 });
  });
});

describe("the verdicts", () => {
  const cell = (wire: WireName, rttMs: number, loss: number, parts: Partial<RoundResult> = {}) =>
    figureOf(wire, { rttMs, loss }, [round(parts)]);

  it("are only on what was measured", () => {
    expect(verdictsOf([])).toEqual([]);
    expect(verdictsOf([cell("gatehouse", 150, 0.05), cell("gatehouse", 50, 0.02)])).toEqual([]);
  });

  it("hold connects against round trips, ours alone", () => {
    const early = [{ establishedMs: 55, firstReplyMs: 61, start: "early" as const }];
    const verdicts = verdictsOf([cell("gatehouse", 50, 0, { again: early })]);
    expect(verdicts.map(({ ratio, isMet }) => [ratio, isMet])).toEqual([
      [2, true],
      [1.22, false],
    ]);
    const bad = verdictsOf([cell("gatehouse", 30, 0.1, { connects: [connected(501)] })]);
    expect(bad.map(({ isMet }) => isMet)).toEqual([false]);
  });

  it("hold calls against grpc-js", () => {
    const theirs = cell("grpc-js", 50, 0.02, { many: sample(200, 300) });
    const verdicts = verdictsOf([theirs, cell("gatehouse", 50, 0.02, { many: sample(600, 106) })]);
    expect(verdicts.map(({ ratio, isMet }) => [Number(ratio.toFixed(2)), isMet])).toEqual([
      [3, true],
      [0.35, false],
    ]);
  });

  it("count what did not finish as lost, ours even beside theirs", () => {
    const judged = (ours: CallsSample | undefined, theirs: CallsSample | undefined) =>
      verdictsOf([
        cell("gatehouse", 50, 0.02, { many: ours }),
        cell("grpc-js", 50, 0.02, { many: theirs }),
      ]).map(({ isMet }) => isMet);
    expect(judged(undefined, sample(1, 1))).toEqual([false, false]);
    expect(judged(undefined, undefined)).toEqual([false, false]);
    expect(judged(sample(1, 1), undefined)).toEqual([true, true]);
  });
});

describe("the report", () => {
  it("names the TCP's congestion control, DNF and what broke off, in whole Markdown tables", () => {
    const figures = [
      figureOf("grpc-js", road, [round({ transferMs: undefined, failures: ["transfer: gone"] })]),
      figureOf("gatehouse", road, [round({ again: [connected(40)] })]),
    ];
    const text = renderLossy({
      ...{ suite: "lossy", rounds: 1, tcpCongestionControl: "cubic", figures },
      verdicts: verdictsOf(figures),
    });
    expect(text).toContain("TCP: cubic");
    expect(text).toContain("- 50 ms, 2 %, grpc-js: transfer: gone");
    expect(text).toMatch(/\| grpc-js +\|.*\| DNF +\|/);
    const tables = text.split("\n\n").filter((paragraph) => paragraph.startsWith("|"));
    expect(tables).toHaveLength(3);
    for (const table of tables) {
      const columns = table.split("\n").map((line) => line.split("|").length);
      expect(new Set(columns).size).toBe(1);
    }
  });
});
