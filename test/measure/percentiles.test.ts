import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { percentiles } from "../../src/measure/index.ts";

describe("percentiles", () => {
  it("are the nearest ranks", () => {
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect(percentiles(hundred)).toEqual({ min: 1, p50: 50, p95: 95, p99: 99, max: 100 });
    expect(percentiles([7])).toEqual({ min: 7, p50: 7, p95: 7, p99: 7, max: 7 });
    expect(percentiles([1, 2])).toEqual({ min: 1, p50: 1, p95: 2, p99: 2, max: 2 });
  });

  it("are samples, in order, whatever the input's order, and leave it alone", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true }), { minLength: 1 }), (samples) => {
        const before = [...samples];
        const { min, p50, p95, p99, max } = percentiles(samples);
        expect(samples).toEqual(before);
        expect([min, p50, p95, p99, max].every((value) => samples.includes(value))).toBe(true);
        expect(min <= p50 && p50 <= p95 && p95 <= p99 && p99 <= max).toBe(true);
      }),
    );
  });

  it("refuse an empty list", () => {
    expect(() => percentiles([])).toThrow(RangeError);
  });
});
