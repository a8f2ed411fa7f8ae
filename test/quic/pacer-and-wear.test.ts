import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/index.ts";
import { Pacer, type PathRate } from "../../src/quic/pacer.ts";
import { Wear } from "../../src/quic/wear.ts";
import { ManualClock } from "../support/manual-clock.ts";

/** Bytes that leave in `ms`, one packet after another as soon as each may. */
function throughput(path: PathRate, flightBytesMax: number, ms: number): { total: number; burst: number } {
  const clock = new ManualClock();
  const pacer = new Pacer(
    clock,
    () => path,
    () => flightBytesMax,
  );
  let total = 0;
  let burst = 0;
  while (clock.monotonicMs() < ms) {
    const delayMs = pacer.delayMs();
    if (delayMs > 0) clock.advance(delayMs);
    else {
      pacer.spent(1_350);
      total += 1_350;
      if (clock.monotonicMs() === 0) burst += 1_350;
    }
  }
  return { total, burst };
}

describe("the pacer", () => {
  it("lets a quarter more than a window leave in a round trip, and ten packets at once", () => {
    const { total, burst } = throughput({ congestionWindowBytes: 135_000, rttMs: 50 }, 1e9, 1_000);
    expect(burst).toBe(13_500);
    expect(total / (1.25 * 135_000 * 20)).toBeGreaterThan(0.95);
    expect(total / (1.25 * 135_000 * 20)).toBeLessThan(1.05);
  });

  it("lets no more leave than the device may have on its way, whatever its acknowledgements say", () => {
    const { total } = throughput({ congestionWindowBytes: 1e9, rttMs: 100 }, 1_000_000, 1_000);
    expect(total).toBeLessThan(1.05 * 1.25 * 1_000_000 * 10);
  });
});

describe("the wear of a connection", () => {
  const ask = (wear: Wear, changes: Partial<{ nowMs: number; paths: number; deliveredBytes: number }> = {}) =>
    wear.state({ nowMs: 0, paths: 1, deliveredBytes: 0, ...changes });

  it("is fresh while what comes is stream data, however much", () => {
    const wear = new Wear(0);
    for (let packet = 0; packet < 100_000; packet += 1) wear.received(1_350);
    expect(ask(wear, { deliveredBytes: 100_000 * 1_300 })).toBe("fresh");
  });

  it("is worn, then spent, by bytes that end up in no stream", () => {
    const wear = new Wear(0);
    const states = new Set<string>();
    for (let packet = 0; packet < 4_000; packet += 1) {
      wear.received(1_350);
      states.add(ask(wear));
    }
    expect([...states]).toEqual(["fresh", "worn", "spent"]);
  });

  it("does not count acknowledgements of what this side sent", () => {
    const wear = new Wear(0);
    for (let packet = 0; packet < 100_000; packet += 1) {
      wear.sent();
      wear.received(110);
    }
    expect(ask(wear)).toBe("fresh");
  });

  it("goes by age, packets and paths as well", () => {
    const wear = new Wear(0);
    expect(ask(wear, { nowMs: LIMITS.connectionAgeMs - 1 })).toBe("fresh");
    expect(ask(wear, { nowMs: LIMITS.connectionAgeMs })).toBe("worn");
    expect(ask(wear, { nowMs: 2 * LIMITS.connectionAgeMs })).toBe("spent");
    expect(ask(wear, { paths: LIMITS.connectionPaths })).toBe("worn");
    expect(ask(wear, { paths: 2 * LIMITS.connectionPaths })).toBe("spent");
  });
});
