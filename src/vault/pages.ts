import type { StoredRecord, VaultStore } from "./store.ts";
import type { Space } from "./transaction.ts";

const PAGE = 1_000;
/** Above every printable ASCII key. */
export const LAST_KEY = "\x7f";

/** Every record of a space, or those between two keys, in order, without holding them all. */
export function* pages(
  store: Pick<VaultStore, "list">,
  space: Space,
  range: { readonly after: string; readonly before: string } = { after: "", before: LAST_KEY },
): Generator<StoredRecord, void, void> {
  let { after } = range;
  for (;;) {
    const records = store.list(space, { after, before: range.before, limit: PAGE });
    yield* records;
    const last = records.at(-1);
    if (last === undefined || records.length < PAGE) return;
    after = last.key;
  }
}
