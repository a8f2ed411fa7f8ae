import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LIMITS, utf8 } from "../../src/core/index.ts";
import { recordBytes } from "../../src/vault/index.ts";
import { ALL, drop, everything, plan, put, refusal, SPACES, texts } from "./conformance-support.ts";
import type { StoreWorld } from "./store-world.ts";

/** Records, transactions and whoever listens; nothing fails here. */
export function describeRecords(name: string, make: () => StoreWorld): void {
  describe(`${name}: records`, () => {
    it("begins empty, at sequence 0, and takes changes", async () => {
      await using store = await make().open();
      expect(store.state).toEqual({ kind: "serving" });
      expect(store.sequence).toBe(0);
      expect(everything(store)).toEqual([]);
      expect(store.get("secret", "a")).toBeUndefined();
      expect(SPACES.map((space) => store.sizeOf(space))).toEqual(SPACES.map(() => 0));
    });

    it("keeps the spaces apart", async () => {
      await using store = await make().open();
      const changes = SPACES.map((space) => put("key", `of ${space}`, space));
      await store.transact(["x"], plan(changes));
      for (const space of SPACES) {
        expect(texts(store, space)).toEqual({ key: `of ${space}` });
        expect(store.sizeOf(space)).toBe(recordBytes({ space, key: "key", body: utf8(`of ${space}`) }));
      }
    });

    it("lists between two keys, neither of them included, by the order of bytes", async () => {
      const character = fc.constantFrom("!", "#", "-", ".", "/", "0", "9", "A", "Z", "_", "a", "z", "~");
      const key = fc.array(character, { minLength: 1, maxLength: 4 }).map((letters) => letters.join(""));
      const keys = fc.uniqueArray(key, { maxLength: 20 });
      await fc.assert(
        fc.asyncProperty(keys, key, key, fc.nat({ max: 25 }), async (all, after, before, limit) => {
          await using store = await make().open();
          await store.transact(["x"], plan(all.map((each) => put(each, each))));
          const expected = all
            .filter((each) => Buffer.compare(utf8(each), utf8(after)) > 0)
            .filter((each) => Buffer.compare(utf8(each), utf8(before)) < 0)
            .sort((a, b) => Buffer.compare(utf8(a), utf8(b)));
          const listed = store.list("setting", { after, before, limit }).map(({ key: each }) => each);
          expect(listed).toEqual(expected.slice(0, limit));
        }),
        { numRuns: 40 },
      );
    });

    it("gives each transaction the next sequence, and its records that as their revision", async () => {
      await using store = await make().open();
      await store.transact(["x"], plan([put("a", "1"), put("b", "1"), put("c", "1")]));
      await store.transact(["x"], plan([put("b", "22"), drop("c"), drop("never-there")]));
      await store.transact(["x"], plan([put("d", "first"), put("d", "last"), put("e", "1"), drop("e")]));
      const revisions = store.list("setting", ALL).map(({ key, revision }) => [key, revision]);
      expect(revisions).toEqual([
        ["a", 1],
        ["b", 2],
        ["d", 3],
      ]);
      expect(texts(store)).toEqual({ a: "1", b: "22", d: "last" });
      const cost = (key: string, text: string) => recordBytes({ space: "setting", key, body: utf8(text) });
      expect(store.sizeOf("setting")).toBe(cost("a", "1") + cost("b", "22") + cost("d", "last"));
      expect(store.sizeOf("setting", { after: "a", before: "d" })).toBe(cost("b", "22"));
      expect(store.sequence).toBe(3);
    });

    it("lends nothing: bytes that come out or went in are the caller's own", async () => {
      await using store = await make().open();
      const body = utf8("value");
      await store.putIfVersion("setting", "a", body, 0);
      body.fill(0);
      store.get("setting", "a")?.body.fill(1);
      for (const record of store.list("setting", ALL)) record.body.fill(2);
      expect(texts(store)).toEqual({ a: "value" });
    });

    it("keeps bodies of any bytes, empty ones too", async () => {
      const world = make();
      const bodies = [
        new Uint8Array(),
        Uint8Array.from({ length: 256 }, (_, at) => at),
        new Uint8Array(100_000),
      ];
      {
        await using store = await world.open();
        for (const [at, body] of bodies.entries()) await store.putIfVersion("value", `k${at}`, body, 0);
      }
      await using store = await world.open();
      for (const [at, body] of bodies.entries()) expect(store.get("value", `k${at}`)?.body).toEqual(body);
    });

    it("takes no key but 1 to 1 024 printable ASCII characters, and nothing of a transaction with another", async () => {
      await using store = await make().open();
      for (const key of ["", " ", "a b", "ä", "a\n", "\x7f", "k".repeat(1_025)]) {
        const changes = [put("good", "1"), put(key, "1")];
        await expect(store.transact(["x"], plan(changes))).rejects.toThrow(RangeError);
      }
      expect(everything(store)).toEqual([]);
      const longest = "k".repeat(1_024);
      await store.transact(["x"], plan([put(longest, "1"), put("!~", "1")]));
      expect(texts(store)).toEqual({ "!~": "1", [longest]: "1" });
    });
  });

  describe(`${name}: transactions`, () => {
    it("puts a record only at the revision named, and one of those who name the same", async () => {
      await using store = await make().open();
      const [first, second] = [utf8("1"), utf8("2")];
      expect(await store.putIfVersion("setting", "a", first, 0)).toBe(1);
      expect(await store.putIfVersion("setting", "b", first, 0)).toBe(2);
      const all = Array.from({ length: 8 }, () => store.putIfVersion("setting", "a", second, 1));
      const outcomes = await Promise.allSettled(all);
      expect(outcomes.filter(({ status }) => status === "fulfilled")).toEqual([
        { status: "fulfilled", value: 3 },
      ]);
      for (const wrong of [0, 1, 2, 4]) {
        const putting = store.putIfVersion("setting", "a", first, wrong);
        await expect(putting).rejects.toMatchObject({ code: "vault.version-conflict" });
      }
      expect(store.get("setting", "a")).toEqual({ key: "a", revision: 3, body: second });
    });

    it("does nothing of a plan that throws, throws that on, and goes on", async () => {
      await using store = await make().open();
      const failure = new TypeError("no");
      const failing = store.transact(["x"], () => {
        throw failure;
      });
      expect(await refusal(failing)).toBe(failure);
      expect(store.sequence).toBe(0);
      await store.transact(["x"], plan([put("a", "1")]));
      expect(store.sequence).toBe(1);
    });

    it("keeps what a plan has read true until its changes are visible", async () => {
      await using store = await make().open();
      const count = (key: string) => Number(texts(store)[key] ?? "0");
      const increment = (keys: readonly string[]) =>
        store.transact(keys, () => ({
          changes: keys.map((key) => put(key, String(count(key) + 1))),
          ...{ events: [], result: undefined },
        }));
      const sets = [["a"], ["a", "b"], ["b", "a"], ["b", "c"], ["c", "a", "b"], ["c"]];
      await Promise.all(Array.from({ length: 120 }, (_, at) => increment(sets[at % sets.length] ?? [])));
      expect(texts(store)).toEqual({ a: "80", b: "80", c: "60" });
    });

    it("answers what the plan answers, once its changes can be read", async () => {
      await using store = await make().open();
      const answer = await store.transact(["x"], () => ({
        ...{ changes: [put("a", "1")], events: [], result: { is: "the plan's" } },
      }));
      expect(answer).toEqual({ is: "the plan's" });
      expect(texts(store)).toEqual({ a: "1" });
    });

    it("refuses more than may wait, without harm to those that do", async () => {
      await using store = await make().open();
      const waiting = Array.from({ length: LIMITS.vaultPendingMutations }, () =>
        store.transact(["x"], plan([])),
      );
      await expect(store.transact(["y"], plan([]))).rejects.toMatchObject({ code: "rpc.overloaded" });
      await Promise.all(waiting);
      await store.transact(["y"], plan([put("a", "1")]));
    });
  });

  describe(`${name}: whoever subscribed`, () => {
    it("hears of each transaction in order, when it can be read and before its caller does", async () => {
      await using store = await make().open();
      const heard: string[] = [];
      const subscription = store.subscribe(({ sequence, changes }) => {
        expect(store.sequence).toBeGreaterThanOrEqual(sequence);
        for (const { space, key } of changes) expect(store.get(space, key)).toBeDefined();
        heard.push(`heard ${sequence}`);
      });
      const answers = Array.from({ length: 5 }, async (_, at) => {
        await store.transact([`${at}`], plan([put(`k${at}`, "1")]));
        heard.push("answered");
      });
      await Promise.all(answers);
      const sequences = heard.filter((text) => text !== "answered");
      expect(sequences).toEqual([1, 2, 3, 4, 5].map((sequence) => `heard ${sequence}`));
      const isHeardFirst = heard.every((text, at) => {
        const answered = heard.slice(0, at + 1).filter((each) => each === "answered").length;
        return text !== "answered" || heard.indexOf(`heard ${answered}`) < at;
      });
      expect(isHeardFirst).toBe(true);
      subscription[Symbol.dispose]();
      await store.transact(["x"], plan([put("later", "1")]));
      expect(heard).toHaveLength(10);
    });

    it("hears nothing of what did not happen", async () => {
      await using store = await make().open();
      const heard: number[] = [];
      using _subscription = store.subscribe(({ sequence }) => heard.push(sequence));
      await store.putIfVersion("setting", "a", utf8("1"), 0);
      await refusal(store.putIfVersion("setting", "a", utf8("1"), 0));
      expect(heard).toEqual([1]);
    });
  });
}
