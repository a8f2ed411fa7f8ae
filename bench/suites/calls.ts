/**
 * Calls a second, latency and CPU of `Ping` and of an authorized, audited vault read, beside grpc-js and beside
 * `@matrixai/quic`'s own classes: mutual TLS with P-256 certificates, 127.0.0.1, client and server in separate
 * processes, contenders in turn. A figure is the median of its rounds.
 */
import { Resources } from "../../src/core/index.ts";
import type { Operation } from "../contender.ts";
import { type Budget, judge, renderVerdicts, type Verdict } from "../support/budgets.ts";
import type { ClientRequest } from "../support/client-process.ts";
import { type Contender, startContenders } from "../support/contenders.ts";
import type { LoadOrder, LoadResult } from "../support/load.ts";
import { median } from "../support/percentiles.ts";
import { cpuMicros } from "../support/process-cpu.ts";
import { table } from "../support/table.ts";
import { type ContenderName, OPERATIONS } from "../support/targets.ts";
import {
  HANDSHAKES_PLAN,
  type HandshakeFigure,
  handshakeVerdicts,
  measureHandshakes,
  renderHandshakes,
} from "./transport-handshakes.ts";

export interface CallsPlan {
  readonly rounds: number;
  /** Longer before the first round: the compilers of both processes have to have seen the code. */
  readonly firstWarmupMs: number;
  readonly warmupMs: number;
  readonly durationMs: number;
}

export const CALLS_PLAN: CallsPlan = { rounds: 5, firstWarmupMs: 1_500, warmupMs: 150, durationMs: 1_000 };

const IN_FLIGHT = [1, 50] as const;

export interface CallsFigure {
  readonly contender: ContenderName;
  readonly operation: Operation;
  readonly inFlight: number;
  readonly callsPerSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  /** CPU time a call, all threads of the process, warm-up included; undefined where the platform does not tell. */
  readonly serverCpuMicros: number | undefined;
  readonly clientCpuMicros: number | undefined;
  /** Calls of all rounds that never got an answer. */
  readonly lost: number;
}

export interface CallsReport {
  readonly suite: "calls";
  readonly calls: readonly CallsFigure[];
  readonly handshakes: readonly HandshakeFigure[];
  readonly verdicts: readonly Verdict[];
}

interface Sample extends LoadResult {
  readonly serverCpuMicros: number | undefined;
  readonly clientCpuMicros: number | undefined;
}

interface Cell {
  readonly contender: Contender;
  readonly operation: Operation;
  readonly inFlight: number;
  readonly samples: Sample[];
}

/** Runs the suite with `names` only. Every process it starts is gone when it settles. */
export async function runCalls(
  names: readonly ContenderName[],
  progress: (line: string) => void,
): Promise<CallsReport> {
  await using resources = new Resources();
  const contenders = await startContenders(names, resources, progress);
  const calls = await measureCalls(contenders, CALLS_PLAN, progress);
  const handshakes = await measureHandshakes(contenders, HANDSHAKES_PLAN, progress);
  const verdicts = [...callsVerdicts(calls), ...handshakeVerdicts(handshakes)];
  return { suite: "calls", calls, handshakes, verdicts };
}

export function renderCallsReport({ calls, handshakes, verdicts }: CallsReport): string {
  return [renderCalls(calls), renderHandshakes(handshakes), renderVerdicts(verdicts)].join("\n\n");
}

export async function measureCalls(
  contenders: readonly Contender[],
  plan: CallsPlan,
  progress: (line: string) => void,
): Promise<readonly CallsFigure[]> {
  const cells = cellsOf(contenders);
  progress("calls: warming up");
  for (const cell of cells) await drive(cell, plan, plan.firstWarmupMs);
  for (const cell of cells) cell.samples.length = 0;
  for (let round = 1; round <= plan.rounds; round += 1) {
    progress(`calls: round ${round} of ${plan.rounds}`);
    for (const cell of cells) await drive(cell, plan, plan.warmupMs);
  }
  return cells.map(figureOf);
}

export function renderCalls(calls: readonly CallsFigure[]): string {
  const rows = calls.map((row) => [
    `${row.contender} ${row.operation}`,
    String(row.inFlight),
    Math.round(row.callsPerSecond).toString(),
    ...[row.p50Ms, row.p95Ms, row.p99Ms].map((ms) => ms.toFixed(3)),
    ...[row.serverCpuMicros, row.clientCpuMicros].map((micros) => micros?.toFixed(1) ?? "-"),
    String(row.lost),
  ]);
  const head = ["contender", "in flight", "calls/s", "p50 ms", "p95 ms", "p99 ms"];
  return [
    'calls: medians of the rounds (grpc-js and matrixai: bare echo of 64 B, "read" 200 B); CPU of each process a call',
    table([[...head, "server µs", "client µs", "lost"], ...rows]),
  ].join("\n\n");
}

/** Only what both sides were measured for in this run. */
export function callsVerdicts(calls: readonly CallsFigure[]): readonly Verdict[] {
  const find = (contender: ContenderName, operation: Operation, inFlight: number) =>
    calls.find(
      (row) => row.contender === contender && row.operation === operation && row.inFlight === inFlight,
    );
  const rate = (contender: ContenderName) => find(contender, "ping", 50)?.callsPerSecond;
  const readRate = (contender: ContenderName) =>
    // Ours does the whole vault read, the peer a bare echo of the same size.
    find(contender, "read", 50)?.callsPerSecond;
  const budgets: readonly (CallsBudget & { readonly peer: ContenderName })[] = [
    {
      figure: "Ping p50, one at a time",
      peer: "grpc-js",
      bound: { atMost: 0.65 },
      pick: (contender) => find(contender, "ping", 1)?.p50Ms,
    },
    { figure: "Ping calls/s, 50 in flight", peer: "grpc-js", bound: { atLeast: 4 }, pick: rate },
    { figure: "Ping calls/s, 50 in flight", peer: "matrixai", bound: { atLeast: 60 }, pick: rate },
    { figure: "vault read calls/s, 50 in flight", peer: "grpc-js", bound: { atLeast: 1.5 }, pick: readRate },
  ];
  return budgets.flatMap(({ pick, ...budget }) => {
    const [ours, theirs] = [pick("gatehouse"), pick(budget.peer)];
    return ours === undefined || theirs === undefined ? [] : [judge(budget, ours, theirs)];
  });
}

interface CallsBudget extends Budget {
  readonly pick: (contender: ContenderName) => number | undefined;
}

function cellsOf(contenders: readonly Contender[]): readonly Cell[] {
  return IN_FLIGHT.flatMap((inFlight) =>
    contenders.flatMap((contender) =>
      OPERATIONS[contender.name].map((operation) => ({ contender, operation, inFlight, samples: [] })),
    ),
  );
}

async function drive(cell: Cell, { durationMs }: CallsPlan, warmupMs: number): Promise<void> {
  const { contender, operation, inFlight, samples } = cell;
  const order: LoadOrder = { operation, inFlight, warmupMs, durationMs };
  const request: ClientRequest = { kind: "load", order };
  const { server, client } = contender;
  const before = [await cpuMicros(server.pid), await cpuMicros(client.pid)] as const;
  const result = (await client.ask(request)) as LoadResult;
  const after = [await cpuMicros(server.pid), await cpuMicros(client.pid)] as const;
  samples.push({
    ...result,
    serverCpuMicros: perCall(before[0], after[0], result.answered),
    clientCpuMicros: perCall(before[1], after[1], result.answered),
  });
}

function perCall(before: number | undefined, after: number | undefined, calls: number): number | undefined {
  return before === undefined || after === undefined || calls === 0 ? undefined : (after - before) / calls;
}

function figureOf({ contender, operation, inFlight, samples }: Cell): CallsFigure {
  const middle = (pick: (sample: Sample) => number): number => median(samples.map(pick));
  const middleKnown = (pick: (sample: Sample) => number | undefined): number | undefined => {
    const known = samples.map(pick).filter((value) => value !== undefined);
    return known.length === 0 ? undefined : median(known);
  };
  return {
    contender: contender.name,
    operation,
    inFlight,
    callsPerSecond: middle((sample) => sample.callsPerSecond),
    p50Ms: middle((sample) => sample.latencyMs.p50),
    p95Ms: middle((sample) => sample.latencyMs.p95),
    p99Ms: middle((sample) => sample.latencyMs.p99),
    serverCpuMicros: middleKnown((sample) => sample.serverCpuMicros),
    clientCpuMicros: middleKnown((sample) => sample.clientCpuMicros),
    lost: samples.reduce((sum, { lost }) => sum + lost, 0),
  };
}
