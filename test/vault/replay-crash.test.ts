import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Replayed, type ReplayOptions, replay } from "../torture/disk-replay.ts";

/** As `npm run torture -- disk replay`, with a short load. */
async function replayed(options: Partial<ReplayOptions>): Promise<Replayed> {
  const scratch = await mkdtemp(join(tmpdir(), "gatehouse-replay-"));
  try {
    return await replay({ scratch, seed: 5, steps: 4, every: 1, recoveries: 0, ...options });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

describe("a power loss at every moment of a recorded load", { timeout: 60_000 }, () => {
  it("loses nothing acknowledged, keeps nothing by halves, and never keeps the vault from opening", async () => {
    const { figures, problems } = await replayed({ every: 4 });
    expect(problems).toEqual([]);
    expect(figures.disks).toBeGreaterThan(100);
    expect(figures.cut).toBeGreaterThan(0);
  });

  it.each(["sync", "sync-folder"] as const)("would lose something if a %s did nothing", async (ignores) => {
    const { problems } = await replayed({ every: 11, ignores });
    expect(problems.length).toBeGreaterThan(0);
  });
});
