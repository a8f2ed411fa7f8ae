import { table } from "./table.ts";

/** A promised ratio between ours and a peer's figure, and whether this run kept it. */
export interface Budget {
  readonly figure: string;
  readonly peer: string;
  readonly bound: { readonly atMost: number } | { readonly atLeast: number };
}

export interface Verdict extends Budget {
  readonly ours: number;
  readonly theirs: number;
  readonly ratio: number;
  readonly isMet: boolean;
}

export function judge(budget: Budget, ours: number, theirs: number): Verdict {
  const ratio = ours / theirs;
  const { bound } = budget;
  const isMet = "atMost" in bound ? ratio <= bound.atMost : ratio >= bound.atLeast;
  return { ...budget, ours, theirs, ratio, isMet };
}

export function boundText({ bound }: Budget): string {
  return "atMost" in bound ? `<= ${bound.atMost}x` : `>= ${bound.atLeast}x`;
}

export function renderVerdicts(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map((row) => [
    `${row.figure} vs ${row.peer}`,
    `${row.ratio.toFixed(2)}x`,
    boundText(row),
    row.isMet ? "met" : "missed",
  ]);
  return ["budgets", table([["figure", "ratio", "budget", "verdict"], ...rows])].join("\n\n");
}
