/**
 * `work` on every item, begun in order, at most `width` of them at a time. After a failure nothing new begins, and what is
 * under way is waited for.
 *
 * @throws of the failures, that of the earliest item
 */
export async function concurrently<Item, Result>(
  items: readonly Item[],
  width: number,
  work: (item: Item) => Promise<Result>,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  const failures = new Map<number, unknown>();
  const waiting = items.entries();
  const walk = async (): Promise<void> => {
    for (const [index, item] of waiting) {
      if (failures.size > 0) return;
      try {
        results[index] = await work(item);
      } catch (error) {
        failures.set(index, error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, walk));
  if (failures.size > 0) throw failures.get(Math.min(...failures.keys()));
  return results;
}
