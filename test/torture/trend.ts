/** One figure over time. */
export interface Sample {
  readonly atMs: number;
  readonly value: number;
}

/** What the least-squares line through `samples` rises by from the first to the last of them; 0 below two. */
export function rise(samples: readonly Sample[]): number {
  const count = samples.length;
  const first = samples[0];
  const last = samples.at(-1);
  if (first === undefined || last === undefined || last.atMs === first.atMs) return 0;
  const meanMs = samples.reduce((sum, { atMs }) => sum + atMs, 0) / count;
  const mean = samples.reduce((sum, { value }) => sum + value, 0) / count;
  const above = samples.reduce((sum, { atMs, value }) => sum + (atMs - meanMs) * (value - mean), 0);
  const below = samples.reduce((sum, { atMs }) => sum + (atMs - meanMs) ** 2, 0);
  return (above / below) * (last.atMs - first.atMs);
}
