/** What the rounds of the lossy suite come to: pooled connects, medians of calls, DNF, and the budgets' verdicts. Pure. */
import type { LinkCounters } from "../link/emulated-link.ts";
import { type Budget, judge, type Verdict } from "../support/budgets.ts";
import { median, summarize } from "../support/percentiles.ts";
import type { CallsSample, ConnectSample } from "./lossy-load.ts";

export const WIRES = ["grpc-js", "gatehouse"] as const;

export type WireName = (typeof WIRES)[number];

/** One cell of the table. */
export interface Road {
  readonly rttMs: number;
  /** Share of the packets of each direction. */
  readonly loss: number;
}

/** What one wire did on one road in one round; undefined is what did not finish. */
export interface RoundResult {
  readonly connects: readonly ConnectSample[];
  readonly again: readonly ConnectSample[];
  readonly one: CallsSample | undefined;
  readonly many: CallsSample | undefined;
  readonly transferMs: number | undefined;
  readonly link: LinkCounters;
  /** Why something did not finish, where it said so. */
  readonly failures: readonly string[];
}

export type Figure = number | "DNF";

export interface ConnectFigure {
  readonly samples: number;
  /** Of them, those whose first call travelled with their first packets. */
  readonly early: number;
  readonly establishedMs: Spread;
  readonly firstReplyMs: Spread;
}

export interface Spread {
  readonly p50: Figure;
  readonly p99: Figure;
}

export interface CallsFigure {
  readonly callsPerSecond: Figure;
  readonly latencyMs: Spread;
}

export interface LossyFigure extends Road {
  readonly wire: WireName;
  readonly connect: ConnectFigure;
  /** Of a client that was connected before; absent when it was not measured. */
  readonly connectAgain?: ConnectFigure;
  readonly one: CallsFigure;
  readonly many: CallsFigure;
  readonly transferMs: Figure;
  readonly link: LinkCounters;
  readonly failures: readonly string[];
}

export function figureOf(wire: WireName, road: Road, rounds: readonly RoundResult[]): LossyFigure {
  const again = rounds.flatMap((round) => round.again);
  return {
    ...{ ...road, wire },
    connect: connectFigure(rounds.flatMap((round) => round.connects)),
    ...(again.length === 0 ? {} : { connectAgain: connectFigure(again) }),
    one: callsFigure(rounds.map(({ one }) => one)),
    many: callsFigure(rounds.map(({ many }) => many)),
    transferMs: middle(rounds.map(({ transferMs }) => transferMs)),
    link: rounds.map(({ link }) => link).reduce(addCounters),
    failures: rounds.flatMap(({ failures }) => failures),
  };
}

/** Only what this run measured. */
export function verdictsOf(figures: readonly LossyFigure[]): readonly Verdict[] {
  const find = (wire: WireName, rttMs: number, loss: number): LossyFigure | undefined =>
    figures.find((row) => row.wire === wire && row.rttMs === rttMs && row.loss === loss);
  const clean = find("gatehouse", 50, 0);
  const lossy = find("gatehouse", 50, 0.02);
  const lossyPeer = find("grpc-js", 50, 0.02);
  const bad = find("gatehouse", 30, 0.1);
  return [
    verdict("cold connect + first reply, p50, 50 ms RTT", "one RTT", { atMost: 2.2 }, [
      clean?.connect.firstReplyMs.p50,
      clean?.rttMs,
    ]),
    verdict("connect again + first reply (early data), p50, 50 ms RTT", "one RTT", { atMost: 1.2 }, [
      clean?.connectAgain?.firstReplyMs.p50,
      clean?.rttMs,
    ]),
    verdict("calls/s, 32 in flight, 2 KB, 50 ms RTT, 2 % loss", "grpc-js", { atLeast: 3 }, [
      lossy?.many.callsPerSecond,
      lossyPeer?.many.callsPerSecond,
    ]),
    verdict("p99, 32 in flight, 2 KB, 50 ms RTT, 2 % loss", "grpc-js", { atMost: 0.35 }, [
      lossy?.many.latencyMs.p99,
      lossyPeer?.many.latencyMs.p99,
    ]),
    verdict("connect established, p99, 30 ms RTT, 10 % loss", "0.5 s", { atMost: 1 }, [
      bad?.connect.establishedMs.p99,
      bad === undefined ? undefined : 500,
    ]),
  ].flat();
}

function connectFigure(samples: readonly ConnectSample[]): ConnectFigure {
  return {
    samples: samples.length,
    early: samples.filter(({ start }) => start === "early").length,
    establishedMs: spread(samples.map(({ establishedMs }) => establishedMs)),
    firstReplyMs: spread(samples.map(({ firstReplyMs }) => firstReplyMs)),
  };
}

/** One that did not finish is slower than all that did: it must not make the others look better. */
function spread(samplesMs: readonly (number | undefined)[]): Spread {
  if (samplesMs.length === 0) return { p50: "DNF", p99: "DNF" };
  const { p50, p99 } = summarize(samplesMs.map((ms) => ms ?? Number.POSITIVE_INFINITY));
  return { p50: figure(p50), p99: figure(p99) };
}

function callsFigure(rounds: readonly (CallsSample | undefined)[]): CallsFigure {
  const latencyMs = {
    p50: middle(rounds.map((round) => round?.p50Ms)),
    p99: middle(rounds.map((round) => round?.p99Ms)),
  };
  if (latencyMs.p50 === "DNF") return { callsPerSecond: "DNF", latencyMs };
  return { callsPerSecond: median(rounds.map((round) => round?.callsPerSecond ?? 0)), latencyMs };
}

function middle(rounds: readonly (number | undefined)[]): Figure {
  return figure(median(rounds.map((ms) => ms ?? Number.POSITIVE_INFINITY)));
}

function figure(value: number): Figure {
  return Number.isFinite(value) ? value : "DNF";
}

function addCounters(a: LinkCounters, b: LinkCounters): LinkCounters {
  return {
    offered: a.offered + b.offered,
    lost: a.lost + b.lost,
    overflowed: a.overflowed + b.overflowed,
    oversized: a.oversized + b.oversized,
    lateOver1Ms: a.lateOver1Ms + b.lateOver1Ms,
    latestMs: Math.max(a.latestMs, b.latestMs),
    refused: a.refused + b.refused,
    droppedByKernel: a.droppedByKernel + b.droppedByKernel,
    cpuShare: Math.max(a.cpuShare, b.cpuShare),
  };
}

/** What did not finish loses against anything, and anything wins against it. */
function verdict(
  name: string,
  peer: string,
  bound: Budget["bound"],
  [ours, theirs]: readonly [Figure | undefined, Figure | undefined],
): readonly Verdict[] {
  if (ours === undefined || theirs === undefined) return [];
  const worst = "atMost" in bound ? Number.POSITIVE_INFINITY : 0;
  const isBothLost = ours === "DNF" && theirs === "DNF";
  const numbers = [ours, isBothLost ? 1 : theirs].map((value) => (value === "DNF" ? worst : value));
  return [judge({ figure: name, peer, bound }, numbers[0] ?? worst, numbers[1] ?? worst)];
}
