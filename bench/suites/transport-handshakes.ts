/** From nothing to the first reply on loopback: cold, resumed, and with the call in the first packets. */
import type { Start } from "../contender.ts";
import { judge, type Verdict } from "../support/budgets.ts";
import type { ClientRequest } from "../support/client-process.ts";
import type { Contender } from "../support/contenders.ts";
import type { StartsResult } from "../support/load.ts";
import { summarize } from "../support/percentiles.ts";
import { table } from "../support/table.ts";
import type { ContenderName } from "../support/targets.ts";

export interface HandshakesPlan {
  readonly rounds: number;
  /** Thrown away, for the compilers. */
  readonly warmups: number;
  /** Starts of each kind in each round. */
  readonly each: number;
}

export const HANDSHAKES_PLAN: HandshakesPlan = { rounds: 5, warmups: 10, each: 10 };

const STARTS: readonly Start[] = ["cold", "resumed", "early"];

/** Made only of starts that did begin as `start` says. */
export interface HandshakeFigure {
  readonly contender: ContenderName;
  readonly start: Start;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly samples: number;
  /** Asked for, and begun in another way. */
  readonly otherwise: number;
}

interface Cell {
  readonly contender: Contender;
  readonly start: Start;
  readonly samplesMs: number[];
  otherwise: number;
}

/** No figure for a start that a contender has not, or that never came about. */
export async function measureHandshakes(
  contenders: readonly Contender[],
  { rounds, warmups, each }: HandshakesPlan,
  progress: (line: string) => void,
): Promise<readonly HandshakeFigure[]> {
  const cells = STARTS.flatMap((start) =>
    contenders.map((contender): Cell => ({ contender, start, samplesMs: [], otherwise: 0 })),
  );
  progress("handshakes: warming up");
  for (const cell of cells) await ask(cell, warmups);
  for (let round = 1; round <= rounds; round += 1) {
    progress(`handshakes: round ${round} of ${rounds}`);
    for (const cell of cells) {
      const { samplesMs, otherwise } = await ask(cell, each);
      cell.samplesMs.push(...samplesMs);
      cell.otherwise += otherwise;
    }
  }
  return cells.filter(({ samplesMs }) => samplesMs.length > 0).map(figureOf);
}

export function renderHandshakes(figures: readonly HandshakeFigure[]): string {
  const rows = figures.map((row) => [
    `${row.contender} ${row.start}`,
    row.p50Ms.toFixed(2),
    row.p95Ms.toFixed(2),
    String(row.samples),
    String(row.otherwise),
  ]);
  return [
    "connect + first reply, loopback (grpc-js resumes through a connector of this bench: it has none of its own)",
    table([["contender", "p50 ms", "p95 ms", "samples", "begun otherwise"], ...rows]),
  ].join("\n\n");
}

export function handshakeVerdicts(figures: readonly HandshakeFigure[]): readonly Verdict[] {
  const cold = (contender: ContenderName): number | undefined =>
    figures.find((row) => row.contender === contender && row.start === "cold")?.p50Ms;
  const [ours, theirs] = [cold("gatehouse"), cold("grpc-js")];
  if (ours === undefined || theirs === undefined) return [];
  const budget = { figure: "cold connect + first reply", peer: "grpc-js", bound: { atMost: 0.3 } };
  return [judge(budget, ours, theirs)];
}

async function ask({ contender, start }: Cell, count: number): Promise<StartsResult> {
  const request: ClientRequest = { kind: "starts", start, count };
  return (await contender.client.ask(request)) as StartsResult;
}

function figureOf({ contender, start, samplesMs, otherwise }: Cell): HandshakeFigure {
  const { p50, p95 } = summarize(samplesMs);
  return { contender: contender.name, start, p50Ms: p50, p95Ms: p95, samples: samplesMs.length, otherwise };
}
