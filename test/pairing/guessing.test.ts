import { describe, expect, it } from "vitest";
import { times } from "../support/effort.ts";
import { Guesser, type Siege, STOPS } from "./guesser.ts";

const WINDOWS = times({ short: 200, long: 2_000 });

describe("guessing a code of three digits, through the real exchange", () => {
  it(`takes about one window of a thousand, at whatever message the stranger stops before its guess`, {
    timeout: 300_000,
  }, async () => {
    const guesser = await Guesser.create(3);
    const sieges: Siege[] = [];
    for (let index = 0; index < WINDOWS; index += 1) {
      sieges.push(await guesser.besiege(STOPS[index % STOPS.length] ?? "any"));
    }
    // One tag is judged in every window, whoever comes how often: a second one would be a second guess.
    expect(sieges.filter(({ judged }) => judged !== 1)).toEqual([]);
    // Mean 2 at most: an honest machine takes 9 or more in one run of 4 000.
    expect(sieges.filter(({ isTaken }) => isTaken).length).toBeLessThan(9);
  });
});
