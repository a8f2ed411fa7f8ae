import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const DRIVER = fileURLToPath(new URL("lane-driver.py", import.meta.url));
const LINK = fileURLToPath(new URL("../../bench/link", import.meta.url));

type Step =
  | { readonly offer: number; readonly atNs: number; readonly size?: number }
  | { readonly atNs: number };

interface Script {
  readonly delayNs?: number;
  readonly loss?: number;
  readonly seed?: string;
  readonly capacity?: number;
  readonly steps: readonly Step[];
}

interface Played {
  readonly delivered: readonly (readonly [number, number])[];
  readonly nextNs: number | null;
  readonly counters: Readonly<Record<string, number>>;
}

function play(script: Script): Played {
  const input = JSON.stringify({ delayNs: 0, loss: 0, seed: "a", capacity: 10_000, ...script });
  const { stdout, stderr, status } = spawnSync("python3", ["-B", DRIVER, LINK], { input, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Played;
}

const offers = (count: number): Step[] => Array.from({ length: count }, (_, offer) => ({ offer, atNs: 0 }));
const numbers = ({ delivered }: Played): readonly number[] => delivered.map(([, packet]) => packet);

// The benchmark that it is part of needs Python as well.
const hasPython = spawnSync("python3", ["--version"]).status === 0;

describe.runIf(hasPython)("a lane of the emulated link", () => {
  it("holds each packet for the delay and not a nanosecond less", () => {
    const early = play({ delayNs: 100, steps: [{ offer: 1, atNs: 50 }, { atNs: 149 }] });
    expect([numbers(early), early.nextNs]).toEqual([[], 150]);
    const due = play({ delayNs: 100, steps: [{ offer: 1, atNs: 50 }, { atNs: 150 }] });
    expect([due.delivered, due.nextNs]).toEqual([[[150, 1]], null]);
  });

  it("keeps the order of what it carries", () => {
    const played = play({ delayNs: 5, steps: [...offers(100), { atNs: 5 }] });
    expect(numbers(played)).toEqual(Array.from({ length: 100 }, (_, index) => index));
  });

  it("loses the same packets for the same seed, and others for another", () => {
    const steps = [...offers(200), { atNs: 0 }];
    const first = numbers(play({ loss: 0.3, seed: "a", steps }));
    expect(numbers(play({ loss: 0.3, seed: "a", steps }))).toEqual(first);
    expect(numbers(play({ loss: 0.3, seed: "b", steps }))).not.toEqual(first);
  });

  it("loses its share, all at 1 and none at 0", () => {
    const lost = (loss: number): number | undefined =>
      play({ loss, steps: offers(20_000), capacity: 20_000 }).counters["lost"];
    expect([lost(0), lost(1)]).toEqual([0, 20_000]);
    const some = lost(0.1);
    // Five standard deviations each way.
    expect(some).toBeGreaterThan(2_000 - 212);
    expect(some).toBeLessThan(2_000 + 212);
  });

  it("takes no more than its queue holds, and says how many it did not", () => {
    const played = play({ capacity: 3, steps: [...offers(5), { atNs: 0 }] });
    expect(numbers(played)).toEqual([0, 1, 2]);
    expect(played.counters).toMatchObject({ offered: 5, lost: 0, overflowed: 2 });
  });

  it("counts what is larger than the MTU", () => {
    const sizes = [1_499, 1_500, 1_501].map((size) => ({ offer: 1, atNs: 0, size }));
    expect(play({ steps: sizes }).counters).toMatchObject({ offered: 3, oversized: 1 });
  });

  it("counts what it delivers more than a millisecond after its time", () => {
    const steps = [
      { offer: 1, atNs: 0 },
      { atNs: 1_000_010 },
      { offer: 2, atNs: 2_000_000 },
      { atNs: 3_000_011 },
    ];
    expect(play({ delayNs: 10, steps }).counters).toMatchObject({ lateOver1Ms: 1, latestMs: 1.000001 });
  });
});
