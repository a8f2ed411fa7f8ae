import { boundText, type Verdict } from "../support/budgets.ts";
import { markdownTable } from "../support/table.ts";
import type { CallsFigure, ConnectFigure, Figure, LossyFigure, Spread } from "./lossy-figures.ts";

export interface LossyReport {
  readonly suite: "lossy";
  readonly rounds: number;
  /** Of the kernel that carried the TCP wire. */
  readonly tcpCongestionControl: string;
  readonly figures: readonly LossyFigure[];
  readonly verdicts: readonly Verdict[];
}

/** Said beside the figures: it binds what grpc-js transfers. */
const WINDOW_NOTE =
  "grpc-js as it comes, with HTTP/2's window of 65 535 B a connection and direction: its server has no option for another.";

/** Paragraphs and Markdown tables. */
export function renderLossy(report: LossyReport): string {
  const { figures, rounds, tcpCongestionControl, verdicts } = report;
  return [
    `lossy: rounds: ${rounds}; both wires in turn over one emulated link; loss is per direction; TCP: ${tcpCongestionControl}`,
    WINDOW_NOTE,
    "Connect, milliseconds: all rounds together. `again` is a client that was connected a moment before.",
    markdownTable([
      ...[["RTT", "loss", "wire", "established p50", "p99", "first reply p50", "p99", "connects", "early"]],
      ...figures.flatMap(connectRows),
    ]),
    "Calls of 2 KB up and back, milliseconds; 4 MiB up and back as 64 calls of 64 KiB at once: medians of the rounds.",
    markdownTable([
      [
        ...["RTT", "loss", "wire", "1 in flight p50", "p99"],
        ...["32 in flight calls/s", "p50", "p99", "4 MiB s"],
      ],
      ...figures.map(callsRow),
    ]),
    ...failureLines(figures),
    linkLine(figures),
    ...(verdicts.length === 0
      ? []
      : [markdownTable([["budget", "ratio", "goal", "verdict"], ...verdicts.map(verdictRow)])]),
  ].join("\n\n");
}

function connectRows(figure: LossyFigure): readonly (readonly string[])[] {
  const row = (
    name: string,
    { establishedMs, firstReplyMs, samples, early }: ConnectFigure,
  ): readonly string[] => [
    ...[...road(figure), name],
    ...[...spread(establishedMs), ...spread(firstReplyMs), String(samples), String(early)],
  ];
  const { wire, connect, connectAgain } = figure;
  return [row(wire, connect), ...(connectAgain === undefined ? [] : [row(`${wire} again`, connectAgain)])];
}

function callsRow(figure: LossyFigure): readonly string[] {
  const { wire, one, many, transferMs } = figure;
  return [
    ...[...road(figure), wire],
    ...[...spread(one.latencyMs), rate(many), ...spread(many.latencyMs)],
    transferMs === "DNF" ? transferMs : (transferMs / 1_000).toFixed(2),
  ];
}

function road({ rttMs, loss }: LossyFigure): readonly string[] {
  return [`${rttMs} ms`, `${loss * 100} %`];
}

function spread({ p50, p99 }: Spread): readonly string[] {
  return [p50, p99].map((figure: Figure) => (figure === "DNF" ? figure : figure.toFixed(0)));
}

function rate({ callsPerSecond }: CallsFigure): string {
  return callsPerSecond === "DNF" ? callsPerSecond : callsPerSecond.toFixed(0);
}

function failureLines(figures: readonly LossyFigure[]): readonly string[] {
  const lines = figures.flatMap((figure) =>
    figure.failures.map((failure) => `- ${road(figure).join(", ")}, ${figure.wire}: ${failure}`),
  );
  return lines.length === 0 ? [] : [["Broken off:", ...lines].join("\n")];
}

/** Whether the link was what it says it was. */
function linkLine(figures: readonly LossyFigure[]): string {
  const links = figures.map(({ link }) => link);
  const sum = (pick: (link: LossyFigure["link"]) => number): number =>
    links.reduce((total, link) => total + pick(link), 0);
  const offered = sum(({ offered }) => offered);
  return [
    `link: ${offered} packets, ${sum(({ lateOver1Ms }) => lateOver1Ms)} of them more than 1 ms late`,
    `(worst ${Math.max(0, ...links.map(({ latestMs }) => latestMs)).toFixed(1)} ms),`,
    `${sum(({ overflowed }) => overflowed)} found the queue full,`,
    `${sum(({ droppedByKernel, refused }) => droppedByKernel + refused)} lost outside the link,`,
    `${sum(({ oversized }) => oversized)} above the MTU`,
  ].join(" ");
}

function verdictRow(verdict: Verdict): readonly string[] {
  const { figure, peer, ratio, isMet } = verdict;
  return [`${figure} vs ${peer}`, `${ratio.toFixed(2)}x`, boundText(verdict), isMet ? "met" : "missed"];
}
