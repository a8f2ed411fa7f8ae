import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rise } from "./trend.ts";

const series = (values: readonly number[]) => values.map((value, index) => ({ atMs: index * 1_000, value }));

describe("the rise of a series", () => {
  it("is what a straight line rises by, wherever it starts", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 50 }),
        fc.integer({ min: -100, max: 100 }),
        fc.integer({ min: -10, max: 10 }),
        (count, start, step) => {
          const values = Array.from({ length: count }, (_, index) => start + step * index);
          expect(rise(series(values))).toBeCloseTo(step * (count - 1), 6);
        },
      ),
    );
  });

  it("is nothing for teeth of a saw, and for less than two samples", () => {
    expect(rise(series([10, 20, 10, 20, 10, 20, 10]))).toBeCloseTo(0, 6);
    expect(rise(series([10]))).toBe(0);
    expect(rise([])).toBe(0);
  });

  it("forgives peaks what it does not forgive a slope", () => {
    const flat = Array.from({ length: 30 }, (_, index) => (index % 10 === 9 ? 500 : 20));
    const leak = Array.from({ length: 30 }, (_, index) => 20 + index);
    expect(rise(series(flat))).toBeCloseTo(0, 6);
    expect(rise(series(leak))).toBeGreaterThan(28);
  });
});
