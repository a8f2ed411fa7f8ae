/**
 * What an idle connection costs a server: its process's memory before and after, divided. Each connection has made one
 * call and does nothing since; at the end each makes another. `engine` is our transport alone: the daemon would let one
 * device have a few connections only.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Resources } from "../../src/core/index.ts";
import type { ServerMemory } from "../peers/server-process.ts";
import { judge, type Verdict } from "../support/budgets.ts";
import type { IdleAnswer, IdleRequest } from "../support/idle-process.ts";
import { median } from "../support/percentiles.ts";
import { table } from "../support/table.ts";
import { type PeerTarget, startPeer } from "../support/targets.ts";
import { WorkerProcess } from "../support/worker-process.ts";

export interface IdlePlan {
  readonly rounds: number;
  readonly connections: number;
}

export const IDLE_PLAN: IdlePlan = { rounds: 3, connections: 2_000 };

/** Opened and closed before the first look: code, pools and buffers belong to no connection. */
const WARMUP_CONNECTIONS = 100;
const SETTLE_MS = 2_000;

const BUDGET_KIB = 64;
const CONNECTION_IDS_MAX = 4;

export interface IdleFigure {
  readonly contender: PeerTarget["peer"];
  readonly connections: number;
  /** For each connection, of the server's process. */
  readonly residentKiB: number;
  readonly heapKiB: number;
  readonly nativeKiB: number;
  /** Answered a call after the wait, in the worst round. */
  readonly alive: number;
  /** Ids in stock at the connection that has most. */
  readonly connectionIdsMax: number | undefined;
}

interface Sample {
  readonly before: ServerMemory;
  readonly after: ServerMemory;
  readonly alive: number;
}

/** Each sample in fresh processes. */
export async function measureIdle(
  names: readonly PeerTarget["peer"][],
  { rounds, connections }: IdlePlan,
  progress: (line: string) => void,
): Promise<readonly IdleFigure[]> {
  const samples = new Map(names.map((name): [PeerTarget["peer"], Sample[]] => [name, []]));
  for (let round = 1; round <= rounds; round += 1) {
    for (const [name, ofName] of samples) {
      progress(`idle: round ${round} of ${rounds}: ${name}`);
      ofName.push(await hold(name, connections));
    }
  }
  return [...samples].map(([name, ofName]) => figureOf(name, connections, ofName));
}

export function renderIdle(figures: readonly IdleFigure[]): string {
  const rows = figures.map((row) => [
    row.contender,
    `${row.alive} of ${row.connections}`,
    ...[row.residentKiB, row.heapKiB, row.nativeKiB].map((kib) => kib.toFixed(1)),
    row.connectionIdsMax?.toString() ?? "-",
  ]);
  return [
    "idle connections: memory of the server's process for each, medians (engine: our transport alone)",
    table([["contender", "alive", "resident KiB", "heap KiB", "native KiB", "ids, most"], ...rows]),
  ].join("\n\n");
}

export function idleVerdicts(figures: readonly IdleFigure[]): readonly Verdict[] {
  const ours = figures.find(({ contender }) => contender === "engine");
  if (ours === undefined) return [];
  const { residentKiB, alive, connections, connectionIdsMax } = ours;
  const against = (
    figure: string,
    peer: string,
    bound: Verdict["bound"],
    value: number,
    of: number,
  ): Verdict => judge({ figure, peer, bound }, value, of);
  return [
    against("resident, each idle connection", `${BUDGET_KIB} KiB`, { atMost: 1 }, residentKiB, BUDGET_KIB),
    against("idle connections alive", "all", { atLeast: 1 }, alive, connections),
    ...(connectionIdsMax === undefined
      ? []
      : [
          against(
            "ids in stock",
            `${CONNECTION_IDS_MAX}`,
            { atMost: 1 },
            connectionIdsMax,
            CONNECTION_IDS_MAX,
          ),
        ]),
  ];
}

async function hold(name: PeerTarget["peer"], connections: number): Promise<Sample> {
  await using resources = new Resources();
  const server = resources.use(await startPeer(name));
  const client = resources.use(WorkerProcess.start(new URL("../support/idle-process.ts", import.meta.url)));
  const ask = async (request: IdleRequest): Promise<IdleAnswer> => (await client.ask(request)) as IdleAnswer;
  await ask({ kind: "target", target: server.target });
  await ask({ kind: "open", count: WARMUP_CONNECTIONS });
  await ask({ kind: "close" });
  await sleep(SETTLE_MS);
  const before = await server.memory();
  await ask({ kind: "open", count: connections });
  await sleep(SETTLE_MS);
  const after = await server.memory();
  const { alive } = await ask({ kind: "ping" });
  return { before, after, alive };
}

function figureOf(
  contender: PeerTarget["peer"],
  connections: number,
  samples: readonly Sample[],
): IdleFigure {
  const each = (pick: (memory: ServerMemory) => number): number =>
    median(samples.map(({ before, after }) => (pick(after) - pick(before)) / 1_024 / connections));
  const ids = samples.map(({ after }) => after.connectionIdsMax).filter((count) => count !== undefined);
  return {
    ...{ contender, connections },
    residentKiB: each(({ rssBytes }) => rssBytes),
    heapKiB: each(({ heapBytes }) => heapBytes),
    nativeKiB: each(({ rssBytes, heapBytes }) => rssBytes - heapBytes),
    alive: Math.min(...samples.map((sample) => sample.alive)),
    connectionIdsMax: ids.length === 0 ? undefined : Math.max(...ids),
  };
}
