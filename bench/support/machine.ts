import { spawnSync } from "node:child_process";
import { cpus, loadavg, totalmem } from "node:os";

/** Where and on what a run was made: without it a figure says nothing. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly platform: string;
  readonly node: string;
  readonly commit: string;
  /** One-minute load before the run: above 0.5 or so, somebody else was measured too. */
  readonly loadBefore: number;
}

export function thisMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform}-${process.arch}`,
    node: process.version,
    commit: commit(),
    loadBefore: Number((loadavg()[0] ?? 0).toFixed(2)),
  };
}

function commit(): string {
  const head = git("rev-parse", "--short=12", "HEAD");
  if (head === undefined) return "unknown";
  return git("status", "--porcelain", "--untracked-files=no") === "" ? head : `${head}+changes`;
}

function git(...args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync("git", args, { encoding: "utf8", cwd: import.meta.dirname });
  return status === 0 ? stdout.trim() : undefined;
}
