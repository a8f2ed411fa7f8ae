import { fromUtf8, utf8 } from "../../src/core/index.ts";
import type { Change, Plan, Space, StoredRecord, VaultStore } from "../../src/vault/index.ts";

export const ALL = { after: "", before: "\x7f", limit: 100_000 };
export const SPACES: readonly Space[] = [
  ...(["secret", "version", "value", "expiry", "erasure", "reply", "device", "setting"] as const),
];

export const put = (key: string, text: string, space: Space = "setting"): Change => ({
  ...{ kind: "put", space, key, body: utf8(text) },
});

export const drop = (key: string, space: Space = "setting"): Change => ({ kind: "delete", space, key });

export function plan(changes: readonly Change[], ...events: readonly string[]): () => Plan<undefined> {
  return () => ({ changes, events: events.map(utf8), result: undefined });
}

/** The texts of a space, by key. */
export function texts(store: VaultStore, space: Space = "setting"): Readonly<Record<string, string>> {
  return Object.fromEntries(store.list(space, ALL).map(({ key, body }) => [key, fromUtf8(body)]));
}

/** Everything the store shows. */
export function everything(store: VaultStore): readonly (StoredRecord & { readonly space: Space })[] {
  return SPACES.flatMap((space) => store.list(space, ALL).map((record) => ({ space, ...record })));
}

/** What it is refused with; `undefined` when it is not. */
export async function refusal(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(
    () => undefined,
    (failure: unknown) => failure ?? "nothing",
  );
}
