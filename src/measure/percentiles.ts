/** A distribution in the samples' own unit. */
export interface Percentiles {
  readonly min: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/**
 * Nearest-rank percentiles: each answer is one of the samples. Copies `samples`.
 *
 * @throws RangeError when there is no sample.
 */
export function percentiles(samples: readonly number[]): Percentiles {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (fraction: number): number => {
    const sample = sorted[Math.max(0, Math.ceil(fraction * sorted.length) - 1)];
    if (sample === undefined) throw new RangeError("percentiles: no samples");
    return sample;
  };
  return { min: at(0), p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) };
}
