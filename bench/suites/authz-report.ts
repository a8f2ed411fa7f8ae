import { boundText, judge, type Verdict } from "../support/budgets.ts";
import { markdownTable } from "../support/table.ts";
import type { AuthzContender, AuthzFigure, AuthzReport, Checked } from "./authz.ts";

/** Whom the budget is measured against. */
export const PEER = "cedar-stateful" satisfies AuthzContender;

const WARM_US = 5;
const COLD_RATIO = 1.3;

/** Paragraphs and Markdown tables. */
export function renderAuthz({ plan, checked, figures, verdicts }: AuthzReport): string {
  return [
    `authz: rounds: ${plan.rounds}; contenders in turn, one decision at a time; the peers' calls are ready-made`,
    "Decided alike by all before the time started:",
    markdownTable([
      ["policies", "requests", "allowed", "forbidden", "permitted by none"],
      ...checked.map(checkedRow),
    ]),
    "p50 and the ratio are medians of the rounds, p99 is of all rounds together.",
    markdownTable([
      ["policies", "contender", "p50 µs", "p99 µs", `p50 ÷ ${PEER}`, "decisions"],
      ...figures.map(figureRow),
    ]),
    ...(verdicts.length === 0
      ? []
      : [markdownTable([["budget", "ratio", "goal", "verdict"], ...verdicts.map(verdictRow)])]),
  ].join("\n\n");
}

/** Only what this run measured. */
export function authzVerdicts(figures: readonly AuthzFigure[]): readonly Verdict[] {
  return figures.flatMap(({ contender, policies, latencyMs, toPeer }) => {
    if (contender === "gatehouse-warm") {
      const budget = { figure: `warm decision, ${policies} policies, p50`, peer: `${WARM_US} µs` };
      return [judge({ ...budget, bound: { atMost: 1 } }, latencyMs.p50 * 1_000, WARM_US)];
    }
    if (contender !== "gatehouse-cold" || toPeer === undefined) return [];
    const budget = { figure: `cold decision, ${policies} policies, p50`, peer: PEER };
    return [judge({ ...budget, bound: { atMost: COLD_RATIO } }, toPeer, 1)];
  });
}

function checkedRow({ policies, requests, allowed, forbidden }: Checked): readonly string[] {
  return [policies, requests, allowed, forbidden, requests - allowed - forbidden].map(String);
}

function figureRow({ policies, contender, latencyMs, decisions, toPeer }: AuthzFigure): readonly string[] {
  const ratio = toPeer === undefined ? "-" : `${toPeer.toFixed(toPeer < 0.1 ? 4 : 2)}x`;
  return [
    ...[String(policies), contender, micros(latencyMs.p50), micros(latencyMs.p99), ratio],
    String(decisions),
  ];
}

function verdictRow(verdict: Verdict): readonly string[] {
  const { figure, peer, ratio, isMet } = verdict;
  return [`${figure} vs ${peer}`, `${ratio.toFixed(2)}x`, boundText(verdict), isMet ? "met" : "missed"];
}

function micros(ms: number): string {
  const value = ms * 1_000;
  return value.toFixed(value < 100 ? 1 : 0);
}
