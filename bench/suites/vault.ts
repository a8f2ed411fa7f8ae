/**
 * The vault's job beside SQLite in a file: sealed values of 200 B, each under a data key of its own, on disk beyond a power
 * loss before they are acknowledged. Each contender in a process of its own, in turn; a figure is the median of its rounds.
 */
import type { StoreName } from "../peers/secret-store.ts";
import type { Verdict } from "../support/budgets.ts";
import { requirePeer } from "../support/peer-modules.ts";
import { measurePuts, type PutsFigure, type PutsPlan, probeDisk } from "./vault-puts.ts";
import { vaultVerdicts } from "./vault-report.ts";
import { measureStores, type StoreFigures, type StoresPlan } from "./vault-stores.ts";

export interface VaultPlan {
  readonly puts: PutsPlan;
  readonly stores: StoresPlan;
}

/** About ten minutes. */
export const VAULT_PLAN: VaultPlan = {
  puts: { rounds: 5, warmupMs: 700, durationMs: 2_000 },
  stores: {
    ...{ rounds: 5, sizes: [1_000, 10_000, 100_000], readFrom: 10_000, readWarm: 1_000, readsMs: 1_000 },
    ...{ journalled: 49_000, pauseRounds: 3, pauseMs: 3_000 },
  },
};

/** Under a minute and a half. */
export const QUICK_VAULT_PLAN: VaultPlan = {
  puts: { rounds: 3, warmupMs: 300, durationMs: 500 },
  stores: {
    ...{ rounds: 1, sizes: [1_000, 10_000], readFrom: 10_000, readWarm: 1_000, readsMs: 400 },
    ...{ journalled: 5_000, pauseRounds: 1, pauseMs: 1_500 },
  },
};

export interface VaultReport extends StoreFigures {
  readonly suite: "vault";
  readonly plan: VaultPlan;
  readonly syncsPerSecond: number;
  readonly puts: readonly PutsFigure[];
  readonly verdicts: readonly Verdict[];
}

/** Runs the suite with `names` only. Every process and file it makes is gone when it settles. @throws PeerMissing */
export async function runVault(
  names: readonly StoreName[],
  plan: VaultPlan,
  progress: (line: string) => void,
): Promise<VaultReport> {
  for (const name of names) if (!name.startsWith("gatehouse")) requirePeer(name);
  const syncsPerSecond = await probeDisk();
  const puts = await measurePuts(names, plan.puts, progress);
  const stores = await measureStores(names, plan.stores, progress);
  const verdicts = vaultVerdicts({ puts, ...stores });
  return { suite: "vault", plan, syncsPerSecond, puts, ...stores, verdicts };
}
