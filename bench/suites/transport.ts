/** Everything on the road but loss: handshakes, calls, bulk, idle connections; each beside its peers, in one run. */
import { Resources } from "../../src/core/index.ts";
import { renderVerdicts, type Verdict } from "../support/budgets.ts";
import { startContenders } from "../support/contenders.ts";
import type { ContenderName, PeerTarget } from "../support/targets.ts";
import {
  CALLS_PLAN,
  type CallsFigure,
  type CallsPlan,
  callsVerdicts,
  measureCalls,
  renderCalls,
} from "./calls.ts";
import { BULK_PLAN, type BulkFigure, type BulkPlan, measureBulk, renderBulk } from "./transport-bulk.ts";
import {
  HANDSHAKES_PLAN,
  type HandshakeFigure,
  type HandshakesPlan,
  handshakeVerdicts,
  measureHandshakes,
  renderHandshakes,
} from "./transport-handshakes.ts";
import {
  IDLE_PLAN,
  type IdleFigure,
  type IdlePlan,
  idleVerdicts,
  measureIdle,
  renderIdle,
} from "./transport-idle.ts";

export interface TransportPlan {
  readonly handshakes: HandshakesPlan;
  readonly calls: CallsPlan;
  readonly bulk: BulkPlan;
  readonly idle: IdlePlan;
}

/** About eight minutes. */
export const TRANSPORT_PLAN: TransportPlan = {
  handshakes: HANDSHAKES_PLAN,
  calls: CALLS_PLAN,
  bulk: BULK_PLAN,
  idle: IDLE_PLAN,
};

/** Under a minute and a half. */
export const QUICK_TRANSPORT_PLAN: TransportPlan = {
  handshakes: { rounds: 3, warmups: 3, each: 4 },
  calls: { rounds: 3, firstWarmupMs: 400, warmupMs: 50, durationMs: 250 },
  bulk: { rounds: 3, sizesMiB: [1, 16], patienceMs: 5_000 },
  idle: { rounds: 1, connections: 500 },
};

export interface TransportReport {
  readonly suite: "transport";
  readonly plan: TransportPlan;
  readonly handshakes: readonly HandshakeFigure[];
  readonly calls: readonly CallsFigure[];
  readonly bulk: readonly BulkFigure[];
  readonly idle: readonly IdleFigure[];
  readonly verdicts: readonly Verdict[];
}

/** Runs the suite with `names` only. Every process it starts is gone when it settles. */
export async function runTransport(
  names: readonly ContenderName[],
  plan: TransportPlan,
  progress: (line: string) => void,
): Promise<TransportReport> {
  const { calls, handshakes } = await measureStacks(names, plan, progress);
  const transports = names.map((name): PeerTarget["peer"] => (name === "gatehouse" ? "engine" : name));
  const bulk = await measureBulk(transports, plan.bulk, progress);
  // Thousands of connections of matrixai's classes take minutes to make, and nothing is promised against them.
  const idleNames = transports.filter((name) => name !== "matrixai");
  const idle = await measureIdle(idleNames, plan.idle, progress);
  const verdicts = [...handshakeVerdicts(handshakes), ...callsVerdicts(calls), ...idleVerdicts(idle)];
  return { suite: "transport", plan, handshakes, calls, bulk, idle, verdicts };
}

export function renderTransport(report: TransportReport): string {
  return [
    renderHandshakes(report.handshakes),
    renderCalls(report.calls),
    renderBulk(report.bulk),
    renderIdle(report.idle),
    renderVerdicts(report.verdicts),
  ].join("\n\n");
}

async function measureStacks(
  names: readonly ContenderName[],
  plan: TransportPlan,
  progress: (line: string) => void,
): Promise<Pick<TransportReport, "calls" | "handshakes">> {
  await using resources = new Resources();
  const contenders = await startContenders(names, resources, progress);
  const handshakes = await measureHandshakes(contenders, plan.handshakes, progress);
  const calls = await measureCalls(contenders, plan.calls, progress);
  return { calls, handshakes };
}
