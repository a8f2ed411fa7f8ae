/** Durable puts a second: one after the other, many in flight, and what a peer makes of many in one transaction. */
import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { StoreName } from "../peers/secret-store.ts";
import { median } from "../support/percentiles.ts";
import { ScratchFolder, StoreWorker } from "../support/store-worker.ts";
import type { PutShape, Rate } from "../support/vault-process.ts";

export interface PutsPlan {
  readonly rounds: number;
  readonly warmupMs: number;
  readonly durationMs: number;
}

export const MANY = 64;

const SHAPES: readonly PutShape[] = [{ inFlight: 1 }, { inFlight: MANY }, { together: MANY }];

const PROBE_BYTES = 1_024;
const PROBE_MS = 500;

export interface PutsFigure {
  readonly contender: StoreName;
  readonly shape: PutShape;
  readonly putsPerSecond: number;
}

interface Cell extends Omit<PutsFigure, "putsPerSecond"> {
  readonly samples: number[];
}

/** Each sample in a fresh process and a fresh folder. */
export async function measurePuts(
  names: readonly StoreName[],
  { rounds, warmupMs, durationMs }: PutsPlan,
  progress: (line: string) => void,
): Promise<readonly PutsFigure[]> {
  const cells = names.flatMap((contender) =>
    SHAPES.filter((shape) => isJobOf(contender, shape)).map(
      (shape): Cell => ({ contender, shape, samples: [] }),
    ),
  );
  for (let round = 1; round <= rounds; round += 1) {
    progress(`puts: round ${round} of ${rounds}`);
    for (const cell of cells) cell.samples.push(await putOnce(cell, warmupMs, durationMs));
  }
  return cells.map(({ contender, shape, samples }) => ({ contender, shape, putsPerSecond: median(samples) }));
}

/** Appends of 1 KiB with `fdatasync` a second on the disk that all of it is measured on: what one write costs at least. */
export async function probeDisk(): Promise<number> {
  await using folder = await ScratchFolder.make();
  const file = openSync(join(folder.path, "probe"), "w");
  const bytes = new Uint8Array(PROBE_BYTES);
  const began = performance.now();
  let count = 0;
  for (; performance.now() < began + PROBE_MS; count += 1) {
    writeSync(file, bytes);
    fdatasyncSync(file);
  }
  const durationMs = performance.now() - began;
  closeSync(file);
  return perSecond({ count, durationMs });
}

export function perSecond({ count, durationMs }: Rate): number {
  return (count / durationMs) * 1_000;
}

/** Ours shares its writes unasked: nothing to ask it for. */
function isJobOf(contender: StoreName, shape: PutShape): boolean {
  return "inFlight" in shape || !contender.startsWith("gatehouse");
}

async function putOnce(
  { contender: name, shape }: Cell,
  warmupMs: number,
  durationMs: number,
): Promise<number> {
  await using folder = await ScratchFolder.make();
  await using worker = new StoreWorker();
  await worker.ask({ kind: "open", name, dir: folder.path });
  await worker.ask({ kind: "puts", shape, durationMs: warmupMs });
  const rate = await worker.ask({ kind: "puts", shape, durationMs });
  await worker.ask({ kind: "close" });
  return perSecond(rate);
}
