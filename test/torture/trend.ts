/** One figure over time. */
export interface Sample {
  readonly atMs: number;
  readonly value: number;
}

/**
 * What the line through `samples` rises by from the first to the last of them; 0 below two. Its slope is the median of
 * those between any two samples (Theil and Sen), so that a peak, such as a checkpoint's, moves it little.
 */
export function rise(samples: readonly Sample[]): number {
  const first = samples[0];
  const last = samples.at(-1);
  if (first === undefined || last === undefined || last.atMs === first.atMs) return 0;
  const slopes = samples.flatMap((from, index) =>
    samples.slice(index + 1).map((to) => (to.value - from.value) / (to.atMs - from.atMs)),
  );
  return median(slopes) * (last.atMs - first.atMs);
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
}
