import type { StoreName } from "../peers/secret-store.ts";
import { boundText, judge, type Verdict } from "../support/budgets.ts";
import { markdownTable } from "../support/table.ts";
import type { Beside } from "../support/vault-process.ts";
import type { VaultReport } from "./vault.ts";
import { MANY, type PutsFigure } from "./vault-puts.ts";
import type { Found, OpenFigure, PauseFigure, StoreFigures } from "./vault-stores.ts";

const PEER: StoreName = "better-sqlite3";
const OURS: readonly StoreName[] = ["gatehouse", "gatehouse-bare"];

const PUTS_RATIO = 3;
const OPEN_MS = 2_000;
const PAUSE_MS = 10;
/** What the budgets of opening and of pauses are promised for. */
const SECRETS = 100_000;

const BESIDE: Readonly<Record<Beside, string>> = {
  nothing: "load alone",
  checkpoint: "a checkpoint",
  capture: "a backup's capture",
};

const FOUND: Readonly<Record<Found, string>> = {
  checkpointed: "a checkpoint",
  journalled: "changes",
};

/** Paragraphs and Markdown tables. */
export function renderVault(report: VaultReport): string {
  const { puts, reads, opens, pauses, verdicts, plan, syncsPerSecond } = report;
  return [
    `vault: sealed values of 200 B; 1 KiB and fdatasync on this disk, one after the other: ${rounded(syncsPerSecond)}/s`,
    "gatehouse keeps its audit log as when it serves; gatehouse-bare does the peers' job and no more.",
    "Durable puts a second, new paths; `together`: the caller himself puts 64 into one transaction.",
    markdownTable([
      ["contender", "1 in flight", `${MANY} in flight`, `${MANY} together`, `${MANY} in flight ÷ ${PEER}`],
      ...putRows(puts),
    ]),
    `Gets a second from ${plan.stores.readFrom} secrets: each once after opening, and ${plan.stores.readWarm} of them again and again.`,
    markdownTable([
      ["contender", "cold", "warm"],
      ...reads.map((row) => [row.contender, rounded(row.coldPerSecond), rounded(row.warmPerSecond)]),
    ]),
    `Opening and one read, in a process just started. \`changes\`: ${plan.stores.journalled} of them since the last checkpoint.`,
    markdownTable([
      ["contender", "secrets", "closed after", "open ms", "resident MiB", "on disk MiB"],
      ...opens.map(openRow),
    ]),
    "Longest pause of the event loop, milliseconds, 16 writers and readers at work.",
    markdownTable([
      ["contender", "secrets", "beside", "longest, median", "of all rounds", "took ms", "puts and gets/s"],
      ...pauses.map(pauseRow),
    ]),
    ...(verdicts.length === 0
      ? []
      : [markdownTable([["budget", "ratio", "goal", "verdict"], ...verdicts.map(verdictRow)])]),
  ].join("\n\n");
}

/** Only what this run measured. The worst of all rounds counts for a pause: a longest one has no median. */
export function vaultVerdicts(figures: Pick<VaultReport, "puts"> & StoreFigures): readonly Verdict[] {
  return OURS.flatMap((ours) => [
    ...putsVerdict(figures.puts, ours),
    ...figures.opens
      .filter(({ contender, secrets }) => contender === ours && secrets === SECRETS)
      .map(openVerdict),
    ...figures.pauses
      .filter(({ contender, secrets }) => contender === ours && secrets === SECRETS)
      .filter(({ beside }) => beside === "checkpoint")
      .map(pauseVerdict),
  ]);
}

function putsVerdict(puts: readonly PutsFigure[], contender: StoreName): readonly Verdict[] {
  const [ours, theirs] = [rateOf(puts, contender, MANY), rateOf(puts, PEER, MANY)];
  if (ours === undefined || theirs === undefined) return [];
  const figure = `${contender}: durable puts/s, ${MANY} in flight`;
  return [judge({ figure, peer: PEER, bound: { atLeast: PUTS_RATIO } }, ours, theirs)];
}

function openVerdict({ contender, secrets, found, openMs }: OpenFigure): Verdict {
  const figure = `${contender}: open ${secrets} secrets, closed after ${FOUND[found]}`;
  return judge({ figure, peer: `${OPEN_MS / 1_000} s`, bound: { atMost: 1 } }, openMs, OPEN_MS);
}

function pauseVerdict({ contender, secrets, worstMs }: PauseFigure): Verdict {
  const figure = `${contender}: longest pause during a checkpoint of ${secrets}`;
  return judge({ figure, peer: `${PAUSE_MS} ms`, bound: { atMost: 1 } }, worstMs, PAUSE_MS);
}

function putRows(puts: readonly PutsFigure[]): readonly (readonly string[])[] {
  const theirs = rateOf(puts, PEER, MANY);
  return [...new Set(puts.map(({ contender }) => contender))].map((contender) => {
    const together = puts.find((row) => row.contender === contender && "together" in row.shape);
    const [one, many] = [rateOf(puts, contender, 1), rateOf(puts, contender, MANY)];
    const ratio = many === undefined || theirs === undefined ? "-" : `${(many / theirs).toFixed(2)}x`;
    return [contender, rounded(one), rounded(many), rounded(together?.putsPerSecond), ratio];
  });
}

function rateOf(puts: readonly PutsFigure[], contender: StoreName, inFlight: number): number | undefined {
  return puts.find(
    ({ contender: of, shape }) => of === contender && "inFlight" in shape && shape.inFlight === inFlight,
  )?.putsPerSecond;
}

function openRow({
  contender,
  secrets,
  found,
  openMs,
  residentBytes,
  diskBytes,
}: OpenFigure): readonly string[] {
  return [
    contender,
    String(secrets),
    FOUND[found],
    openMs.toFixed(0),
    mebibytes(residentBytes),
    mebibytes(diskBytes),
  ];
}

function pauseRow(row: PauseFigure): readonly string[] {
  return [
    ...[
      row.contender,
      String(row.secrets),
      BESIDE[row.beside],
      row.longestMs.toFixed(1),
      row.worstMs.toFixed(1),
    ],
    row.beside === "nothing" ? "-" : row.besideMs.toFixed(0),
    rounded(row.callsPerSecond),
  ];
}

function verdictRow(verdict: Verdict): readonly string[] {
  const { figure, peer, ratio, isMet } = verdict;
  return [`${figure} vs ${peer}`, `${ratio.toFixed(2)}x`, boundText(verdict), isMet ? "met" : "missed"];
}

function rounded(rate: number | undefined): string {
  return rate === undefined ? "-" : Math.round(rate).toString();
}

function mebibytes(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1);
}
