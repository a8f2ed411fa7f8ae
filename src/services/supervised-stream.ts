/** A stream of answers that ends with `verdict`'s failure as soon as it has one. */
export async function* supervised<Item>(
  items: AsyncIterable<Item>,
  verdict: Promise<never>,
): AsyncGenerator<Item> {
  const iterator = items[Symbol.asyncIterator]();
  try {
    for (;;) {
      const step = await Promise.race([iterator.next(), verdict]);
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    // Not awaited: one that waits for its next item ends when the call's signal tells it to.
    iterator.return?.().catch(() => undefined);
  }
}

export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}
