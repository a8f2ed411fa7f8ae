/**
 * Calls a second and latency of `Ping` and of an authorized, audited vault read, beside grpc-js and beside
 * `@matrixai/quic`'s own classes: mutual TLS with P-256 certificates, 127.0.0.1, client and server in separate
 * processes, contenders in turn. A figure is the median of its rounds.
 */
import { Resources } from "../../src/core/index.ts";
import type { Operation } from "../contender.ts";
import { type Budget, boundText, judge, type Verdict } from "../support/budgets.ts";
import type { ClientRequest } from "../support/client-process.ts";
import type { LoadOrder, LoadResult } from "../support/load.ts";
import { median, summarize } from "../support/percentiles.ts";
import { table } from "../support/table.ts";
import { type ContenderName, OPERATIONS, type Server, startPeer } from "../support/targets.ts";
import { WorkerProcess } from "../support/worker-process.ts";

const ROUNDS = 5;
const IN_FLIGHT = [1, 50] as const;
/** Longer before the first round: the compilers of both processes have to have seen the code. */
const FIRST_WARMUP_MS = 1_500;
const WARMUP_MS = 150;
const DURATION_MS = 1_000;
const COLD_STARTS = { first: 5, each: 6 } as const;

export interface CallsFigure {
  readonly contender: ContenderName;
  readonly operation: Operation;
  readonly inFlight: number;
  readonly callsPerSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  /** Calls of all rounds that never got an answer. */
  readonly lost: number;
}

export interface ColdFigure {
  readonly contender: ContenderName;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly samples: number;
}

export interface CallsReport {
  readonly suite: "calls";
  readonly rounds: number;
  readonly calls: readonly CallsFigure[];
  readonly cold: readonly ColdFigure[];
  readonly verdicts: readonly Verdict[];
}

interface Contender {
  readonly name: ContenderName;
  readonly client: WorkerProcess;
}

interface Cell {
  readonly contender: Contender;
  readonly operation: Operation;
  readonly inFlight: number;
  readonly results: LoadResult[];
}

/** Runs the suite with `names` only. Every process it starts is gone when it settles. */
export async function runCalls(
  names: readonly ContenderName[],
  progress: (line: string) => void,
): Promise<CallsReport> {
  await using resources = new Resources();
  const contenders: Contender[] = [];
  for (const name of names) {
    progress(`starting ${name}`);
    contenders.push(await startContender(name, resources));
  }
  const cells = cellsOf(contenders);
  progress("warming up");
  for (const cell of cells) await drive(cell, FIRST_WARMUP_MS);
  for (const cell of cells) cell.results.length = 0;
  for (let round = 1; round <= ROUNDS; round += 1) {
    progress(`round ${round} of ${ROUNDS}`);
    for (const cell of cells) await drive(cell, WARMUP_MS);
  }
  progress("cold starts");
  const cold = await measureCold(contenders);
  const calls = cells.map(figureOf);
  return { suite: "calls", rounds: ROUNDS, calls, cold, verdicts: verdictsOf(calls, cold) };
}

export function renderCalls(report: CallsReport): string {
  const calls = report.calls.map((row) => [
    `${row.contender} ${row.operation}`,
    String(row.inFlight),
    Math.round(row.callsPerSecond).toString(),
    ...[row.p50Ms, row.p95Ms, row.p99Ms].map((ms) => ms.toFixed(3)),
    String(row.lost),
  ]);
  const cold = report.cold.map((row) => [row.contender, row.p50Ms.toFixed(2), row.p95Ms.toFixed(2)]);
  const verdicts = report.verdicts.map((row) => [
    `${row.figure} vs ${row.peer}`,
    `${row.ratio.toFixed(2)}x`,
    boundText(row),
    row.isMet ? "met" : "missed",
  ]);
  return [
    `calls: median of ${report.rounds} rounds (grpc-js and matrixai: bare echo of 64 B, "read" 200 B)`,
    table([["contender", "in flight", "calls/s", "p50 ms", "p95 ms", "p99 ms", "lost"], ...calls]),
    "cold connect + first reply, loopback",
    table([["contender", "p50 ms", "p95 ms"], ...cold]),
    ...(verdicts.length === 0
      ? []
      : ["budgets", table([["figure", "ratio", "budget", "verdict"], ...verdicts])]),
  ].join("\n\n");
}

async function startContender(name: ContenderName, resources: Resources): Promise<Contender> {
  const server = resources.use(await startServer(name));
  const client = resources.use(WorkerProcess.start(new URL("../support/client-process.ts", import.meta.url)));
  await ask(client, { kind: "target", target: server.target });
  return { name, client };
}

async function startServer(name: ContenderName): Promise<Server> {
  if (name !== "gatehouse") return startPeer(name);
  const { startGatehouse } = await import("../peers/gatehouse-server.ts");
  return startGatehouse();
}

function cellsOf(contenders: readonly Contender[]): readonly Cell[] {
  return IN_FLIGHT.flatMap((inFlight) =>
    contenders.flatMap((contender) =>
      OPERATIONS[contender.name].map((operation) => ({ contender, operation, inFlight, results: [] })),
    ),
  );
}

async function drive({ contender, operation, inFlight, results }: Cell, warmupMs: number): Promise<void> {
  const order: LoadOrder = { operation, inFlight, warmupMs, durationMs: DURATION_MS };
  results.push((await ask(contender.client, { kind: "load", order })) as LoadResult);
}

async function measureCold(contenders: readonly Contender[]): Promise<readonly ColdFigure[]> {
  const samples = new Map<ContenderName, number[]>();
  for (const { client } of contenders) await ask(client, { kind: "cold", count: COLD_STARTS.first });
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { name, client } of contenders) {
      const reply = await ask(client, { kind: "cold", count: COLD_STARTS.each });
      const { samplesMs } = reply as { readonly samplesMs: readonly number[] };
      samples.set(name, [...(samples.get(name) ?? []), ...samplesMs]);
    }
  }
  return [...samples].map(([contender, samplesMs]) => {
    const { p50, p95 } = summarize(samplesMs);
    return { contender, p50Ms: p50, p95Ms: p95, samples: samplesMs.length };
  });
}

function figureOf({ contender, operation, inFlight, results }: Cell): CallsFigure {
  const middle = (pick: (result: LoadResult) => number): number => median(results.map(pick));
  return {
    contender: contender.name,
    operation,
    inFlight,
    callsPerSecond: middle((result) => result.callsPerSecond),
    p50Ms: middle((result) => result.latencyMs.p50),
    p95Ms: middle((result) => result.latencyMs.p95),
    p99Ms: middle((result) => result.latencyMs.p99),
    lost: results.reduce((sum, { lost }) => sum + lost, 0),
  };
}

interface CallsBudget extends Budget {
  readonly pick: (contender: ContenderName) => number | undefined;
}

/** Only what both sides were measured for in this run. */
function verdictsOf(calls: readonly CallsFigure[], cold: readonly ColdFigure[]): readonly Verdict[] {
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
    {
      figure: "cold connect + first reply",
      peer: "grpc-js",
      bound: { atMost: 0.3 },
      pick: (contender) => cold.find((row) => row.contender === contender)?.p50Ms,
    },
  ];
  return budgets.flatMap(({ pick, ...budget }) => {
    const [ours, theirs] = [pick("gatehouse"), pick(budget.peer)];
    return ours === undefined || theirs === undefined ? [] : [judge(budget, ours, theirs)];
  });
}

function ask(client: WorkerProcess, request: ClientRequest): Promise<unknown> {
  return client.ask(request);
}
