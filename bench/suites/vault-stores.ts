/** Stores of several sizes: opening them, reading from them, what they take on disk, and the pauses of the largest. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { StoreName } from "../peers/secret-store.ts";
import { median } from "../support/percentiles.ts";
import { folderBytes, ScratchFolder, StoreWorker } from "../support/store-worker.ts";
import type { Beside, FirstRead, Pause } from "../support/vault-process.ts";
import { perSecond } from "./vault-puts.ts";

export interface StoresPlan {
  readonly rounds: number;
  /** Secrets, rising; the last is the one whose pauses are looked for. */
  readonly sizes: readonly number[];
  /** Of `sizes`: the one that is read from. */
  readonly readFrom: number;
  /** So few that any cache holds them. */
  readonly readWarm: number;
  readonly readsMs: number;
  /** Changes since the checkpoint, for an opening that replays them: just fewer than bring about the next. */
  readonly journalled: number;
  readonly pauseRounds: number;
  readonly pauseMs: number;
}

/** A store as an opening finds it: after a checkpoint, or with changes since. */
export type Found = "checkpointed" | "journalled";

export interface OpenFigure {
  readonly contender: StoreName;
  readonly secrets: number;
  readonly found: Found;
  /** To open it and read one secret, in a process just started. */
  readonly openMs: number;
  /** What that took of memory. */
  readonly residentBytes: number;
  readonly diskBytes: number;
}

export interface ReadsFigure {
  readonly contender: StoreName;
  readonly secrets: number;
  readonly coldPerSecond: number;
  readonly warmPerSecond: number;
}

export interface PauseFigure {
  readonly contender: StoreName;
  readonly secrets: number;
  readonly beside: Beside;
  /** Longest pause: of the median round, and of all. */
  readonly longestMs: number;
  readonly worstMs: number;
  readonly besideMs: number;
  /** Puts and gets, while it went on. */
  readonly callsPerSecond: number;
}

export interface StoreFigures {
  readonly opens: readonly OpenFigure[];
  readonly reads: readonly ReadsFigure[];
  readonly pauses: readonly PauseFigure[];
}

interface Store {
  readonly contender: StoreName;
  readonly secrets: number;
  readonly dir: string;
  readonly firstReads: FirstRead[];
  readonly cold: number[];
  readonly warm: number[];
}

export async function measureStores(
  names: readonly StoreName[],
  plan: StoresPlan,
  progress: (line: string) => void,
): Promise<StoreFigures> {
  await using folder = await ScratchFolder.make();
  const stores: Store[] = [];
  for (const secrets of plan.sizes) {
    for (const contender of names) {
      progress(`stores: ${contender} of ${secrets}`);
      stores.push(await fill(folder.path, contender, secrets));
    }
  }
  const checkpointed = await measureOpens(stores, plan, "checkpointed", progress);
  const reads = stores.filter(({ cold }) => cold.length > 0).map(readsFigureOf);
  const largest = stores.filter(({ secrets }) => secrets === plan.sizes.at(-1));
  const journalled = await measureJournalled(largest, plan, progress);
  const pauses = await measurePauses(largest, plan, progress);
  return { opens: [...checkpointed, ...journalled], reads, pauses };
}

async function fill(under: string, contender: StoreName, secrets: number): Promise<Store> {
  const dir = join(under, `${contender}-${secrets}`);
  await mkdir(dir);
  await using worker = new StoreWorker();
  await worker.ask({ kind: "open", name: contender, dir });
  await worker.ask({ kind: "fill", count: secrets });
  await worker.ask({ kind: "checkpoint" });
  await worker.ask({ kind: "close" });
  return { contender, secrets, dir, firstReads: [], cold: [], warm: [] };
}

async function measureOpens(
  stores: readonly Store[],
  plan: StoresPlan,
  found: Found,
  progress: (line: string) => void,
): Promise<readonly OpenFigure[]> {
  for (let round = 1; round <= plan.rounds; round += 1) {
    progress(`open, ${found}: round ${round} of ${plan.rounds}`);
    for (const store of stores) {
      await using worker = new StoreWorker();
      const { contender: name, dir, secrets: count } = store;
      store.firstReads.push(await worker.ask({ kind: "first-read", name, dir, count }));
      if (found === "checkpointed" && count === plan.readFrom) await readFrom(worker, store, plan);
      await worker.ask({ kind: "close" });
    }
  }
  return await Promise.all(stores.map((store) => openFigureOf(store, found)));
}

async function readFrom(worker: StoreWorker, store: Store, plan: StoresPlan): Promise<void> {
  const { readWarm: count, readsMs } = plan;
  store.cold.push(perSecond(await worker.ask({ kind: "reads-once", count: store.secrets })));
  await worker.ask({ kind: "reads", count, durationMs: readsMs / 4 });
  store.warm.push(perSecond(await worker.ask({ kind: "reads", count, durationMs: readsMs })));
}

/** Only ours has much to replay: a peer's log is moved into its file as it goes. */
async function measureJournalled(
  stores: readonly Store[],
  plan: StoresPlan,
  progress: (line: string) => void,
): Promise<readonly OpenFigure[]> {
  const ours = stores.filter(({ contender }) => contender.startsWith("gatehouse"));
  for (const { contender: name, dir } of ours) {
    await using worker = new StoreWorker();
    await worker.ask({ kind: "open", name, dir });
    await worker.ask({ kind: "fill", count: plan.journalled });
    await worker.ask({ kind: "close" });
  }
  const again = ours.map((store) => ({ ...store, firstReads: [] }));
  return await measureOpens(again, plan, "journalled", progress);
}

async function measurePauses(
  stores: readonly Store[],
  { pauseRounds, pauseMs }: StoresPlan,
  progress: (line: string) => void,
): Promise<readonly PauseFigure[]> {
  const cells = stores.flatMap((store) =>
    besides(store.contender).map((beside) => ({ store, beside, samples: [] as Pause[] })),
  );
  for (let round = 1; round <= pauseRounds; round += 1) {
    progress(`pauses: round ${round} of ${pauseRounds}`);
    for (const { store, beside, samples } of cells) samples.push(await pauseOnce(store, beside, pauseMs));
  }
  return cells.map(({ store: { contender, secrets }, beside, samples }) => {
    const longest = samples.map(({ longestMs }) => longestMs);
    return {
      ...{ contender, secrets, beside, longestMs: median(longest), worstMs: Math.max(...longest) },
      besideMs: median(samples.map(({ besideMs }) => besideMs)),
      callsPerSecond: median(samples.map(({ done: count, durationMs }) => perSecond({ count, durationMs }))),
    };
  });
}

function besides(contender: StoreName): readonly Beside[] {
  return contender.startsWith("gatehouse") ? ["nothing", "checkpoint", "capture"] : ["nothing", "checkpoint"];
}

/** After a checkpoint, so that none of the store's own accord begins meanwhile. */
async function pauseOnce(store: Store, beside: Beside, durationMs: number): Promise<Pause> {
  const { contender: name, dir, secrets: count } = store;
  await using worker = new StoreWorker();
  await worker.ask({ kind: "open", name, dir });
  await worker.ask({ kind: "checkpoint" });
  const pause = await worker.ask({ kind: "pause", beside, count, durationMs });
  await worker.ask({ kind: "close" });
  return pause;
}

async function openFigureOf(store: Store, found: Found): Promise<OpenFigure> {
  const { contender, secrets, dir, firstReads } = store;
  return {
    ...{ contender, secrets, found, openMs: median(firstReads.map(({ durationMs }) => durationMs)) },
    residentBytes: median(
      firstReads.map(({ residentBytes, residentBytesBefore }) => residentBytes - residentBytesBefore),
    ),
    diskBytes: await folderBytes(dir),
  };
}

function readsFigureOf({ contender, secrets, cold, warm }: Store): ReadsFigure {
  return { contender, secrets, coldPerSecond: median(cold), warmPerSecond: median(warm) };
}
