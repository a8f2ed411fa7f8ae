/**
 * One transfer on one stream of an open connection, loopback, mutual TLS, two processes: up until the server's
 * application has every byte and has said so with one more, down until the client's has. `engine` is our transport
 * without calls, which do not carry bulk; grpc-js sends messages of 64 KiB.
 */
import { Resources } from "../../src/core/index.ts";
import { LOOPBACK } from "../contender.ts";
import type { Direction } from "../support/bulk.ts";
import type { BulkRequest, BulkResult } from "../support/bulk-process.ts";
import { median } from "../support/percentiles.ts";
import { table } from "../support/table.ts";
import { type PeerServer, type PeerTarget, startPeer } from "../support/targets.ts";
import { WorkerProcess } from "../support/worker-process.ts";

export interface BulkPlan {
  readonly rounds: number;
  readonly sizesMiB: readonly number[];
  /** Past it, a cell is DNF. */
  readonly patienceMs: number;
}

export const BULK_PLAN: BulkPlan = { rounds: 3, sizesMiB: [1, 16, 64], patienceMs: 60_000 };

export interface BulkFigure {
  readonly contender: PeerTarget["peer"];
  readonly direction: Direction;
  readonly sizeMiB: number;
  /** Undefined: did not finish. */
  readonly seconds: number | undefined;
  readonly megabytesPerSecond: number | undefined;
}

interface Party {
  readonly name: PeerTarget["peer"];
  readonly server: PeerServer;
  readonly client: WorkerProcess;
}

interface Cell {
  readonly party: Party;
  readonly direction: Direction;
  readonly sizeMiB: number;
  readonly samplesMs: number[];
  /** A cell that did not finish once is not tried again, nor is a larger one. */
  isGivenUp: boolean;
}

export async function measureBulk(
  names: readonly PeerTarget["peer"][],
  plan: BulkPlan,
  progress: (line: string) => void,
): Promise<readonly BulkFigure[]> {
  await using resources = new Resources();
  const parties: Party[] = [];
  for (const name of names) {
    const server = resources.use(await startPeer(name, LOOPBACK, "bulk"));
    const client = resources.use(WorkerProcess.start(new URL("../support/bulk-process.ts", import.meta.url)));
    await ask(client, { kind: "target", target: server.target });
    parties.push({ name, server, client });
  }
  const cells = cellsOf(parties, plan);
  progress("bulk: warming up");
  for (const cell of cellsOf(parties, { ...plan, sizesMiB: [1, 4] })) await drive(cell, [], plan);
  for (let round = 1; round <= plan.rounds; round += 1) {
    progress(`bulk: round ${round} of ${plan.rounds}`);
    for (const cell of cells) await drive(cell, cells, plan);
  }
  return cells.map(figureOf);
}

export function renderBulk(figures: readonly BulkFigure[]): string {
  const rows = figures.map(({ contender, direction, sizeMiB, seconds, megabytesPerSecond }) => [
    `${contender} ${direction}`,
    String(sizeMiB),
    seconds?.toFixed(3) ?? "DNF",
    megabytesPerSecond?.toFixed(1) ?? "DNF",
  ]);
  return [
    "bulk: one transfer at a time, medians (engine: our transport alone; grpc-js: messages of 64 KiB)",
    table([["contender", "MiB", "seconds", "MB/s"], ...rows]),
  ].join("\n\n");
}

function cellsOf(parties: readonly Party[], { sizesMiB }: BulkPlan): readonly Cell[] {
  return sizesMiB.flatMap((sizeMiB) =>
    (["up", "down"] as const).flatMap((direction) =>
      parties.map((party): Cell => ({ party, direction, sizeMiB, samplesMs: [], isGivenUp: false })),
    ),
  );
}

async function drive(cell: Cell, cells: readonly Cell[], { patienceMs }: BulkPlan): Promise<void> {
  if (cell.isGivenUp) return;
  const order = { direction: cell.direction, sizeBytes: cell.sizeMiB * 1_048_576 };
  const result = (await ask(cell.party.client, { kind: "transfer", order, patienceMs })) as BulkResult;
  if (result.durationMs !== undefined) {
    cell.samplesMs.push(result.durationMs);
    return;
  }
  for (const other of cells) {
    const isAsHard = other.direction === cell.direction && other.sizeMiB >= cell.sizeMiB;
    if (other.party === cell.party && isAsHard) other.isGivenUp = true;
  }
}

function figureOf({ party, direction, sizeMiB, samplesMs, isGivenUp }: Cell): BulkFigure {
  const seconds = isGivenUp ? undefined : median(samplesMs) / 1_000;
  const megabytesPerSecond = seconds === undefined ? undefined : (sizeMiB * 1.048576) / seconds;
  return { contender: party.name, direction, sizeMiB, seconds, megabytesPerSecond };
}

function ask(client: WorkerProcess, request: BulkRequest): Promise<unknown> {
  return client.ask(request);
}
