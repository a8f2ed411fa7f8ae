import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/core/index.ts";
import { recordBytes } from "../../src/vault/index.ts";
import { VaultPlace } from "./support.ts";

const RANGE = { after: "", before: "\x7f", limit: 10 };

describe("the store", () => {
  it("puts a record only at the revision named, and gives it the next one", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const { store } = vault;
    expect(await store.putIfVersion("setting", "a", utf8("1"), 0)).toBe(1);
    expect(await store.putIfVersion("setting", "b", utf8("1"), 0)).toBe(2);
    expect(await store.putIfVersion("setting", "a", utf8("2"), 1)).toBe(3);
    await expect(store.putIfVersion("setting", "a", utf8("3"), 1)).rejects.toMatchObject({
      code: "vault.version-conflict",
      message: "the record is at revision 3, not 1",
    });
    expect(store.get("setting", "a")).toEqual({ key: "a", revision: 3, body: utf8("2") });
    expect(store.get("device", "a")).toBeUndefined();
    expect(store.sizeOf("setting")).toBe(2 * recordBytes({ space: "setting", key: "a", body: utf8("2") }));
    expect(store.sequence).toBe(3);
  });

  it("takes several changes as one, and nothing of a plan that throws", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const { store } = vault;
    const heard: number[] = [];
    using _subscription = store.subscribe(({ sequence, changes }) => {
      // Visible already when it is told.
      for (const { key } of changes) expect(store.get("setting", key)?.revision).toBe(sequence);
      heard.push(sequence);
    });
    const answer = await store.transact(["x"], () => ({
      changes: ["a", "b"].map((key) => ({
        kind: "put" as const,
        space: "setting" as const,
        key,
        body: utf8(key),
      })),
      events: [],
      result: "done",
    }));
    expect(answer).toBe("done");
    const failing = store.transact(["x"], () => {
      throw new TypeError("no");
    });
    await expect(failing).rejects.toThrow(TypeError);
    expect(store.list("setting", RANGE).map(({ key }) => key)).toEqual(["a", "b"]);
    expect(store.list("setting", { ...RANGE, after: "a", before: "b" })).toEqual([]);
    expect(store.list("setting", { ...RANGE, limit: 1 }).map(({ key }) => key)).toEqual(["a"]);
    expect(heard).toEqual([1]);
  });

  it("runs plans that name a common key one after another, and others side by side", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const { store } = vault;
    const seen: Record<string, number> = {};
    const mutate = (name: string, keys: readonly string[]) =>
      store.transact(keys, () => {
        seen[name] = store.sequence;
        const change = { kind: "put", space: "setting", key: name, body: utf8(name) } as const;
        return { changes: [change], events: [], result: undefined };
      });
    await Promise.all([mutate("first", ["a", "b"]), mutate("second", ["b"]), mutate("third", ["c"])]);
    // The first and the third shared a group; the second began when that was on disk.
    expect(seen).toEqual({ first: 0, third: 0, second: 2 });
  });
});
