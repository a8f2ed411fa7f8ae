import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromUtf8, utf8 } from "../../src/core/index.ts";
import { AlreadyAnswered, RememberedReplies, type VaultStore } from "../../src/vault/index.ts";
import { Mutations } from "../../src/vault/mutations.ts";
import { drop, everything, plan, put, refusal, texts } from "./conformance-support.ts";
import type { Unsynced } from "./memory-disk.ts";
import type { StoreWorld, SyncedAudit } from "./store-world.ts";

const UNSYNCED: readonly Unsynced[] = ["gone", "half", "there"];

const eventsOf = ({ entries }: SyncedAudit): readonly string[] =>
  entries.flatMap(({ events }) => events.map((event) => fromUtf8(event)));

/** What a store promises of the time after it was closed, or of a power loss. */
export function describeDurability(name: string, make: () => StoreWorld): void {
  describe(`${name}: opened again`, () => {
    it("is as it was, revisions and sequence included, and counts on from there", async () => {
      const world = make();
      let before: ReturnType<typeof everything>;
      {
        await using store = await world.open();
        await store.transact(["x"], plan([put("a", "1"), put("b", "2", "device")], "first"));
        await store.transact(["x"], plan([drop("a"), put("c", "3")], "second"));
        before = everything(store);
      }
      await using store = await world.open();
      expect(everything(store)).toEqual(before);
      expect(store.sequence).toBe(2);
      expect(await store.putIfVersion("setting", "c", utf8("4"), 2)).toBe(3);
    });

    it("has told the audit log each event once, in order, before its caller was answered", async () => {
      const world = make();
      {
        await using store = await world.open();
        for (const text of ["one", "two", "three"]) {
          await store.transact(["x"], plan([put(text, text)], text, `${text} as well`));
          expect(eventsOf(world.audit).at(-1)).toBe(`${text} as well`);
        }
        await store.transact(["x"], plan([put("silent", "1")]));
      }
      await using _again = await world.open();
      expect(world.audit.entries.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
      expect(eventsOf(world.audit)).toHaveLength(6);
    });

    it("remembers what a request was answered, and answers it that again", async () => {
      const world = make();
      const requestId = utf8("request");
      const mutation = {
        audit: utf8("event"),
        replay: { principal: "p", requestId, requestHash: utf8("hash"), reply: utf8 },
      };
      const run = async (store: VaultStore, hash = "hash") => {
        const mutations = new Mutations(store, new RememberedReplies(store, world.clock));
        const { replay } = mutation;
        const asked = { ...mutation, replay: { ...replay, requestHash: utf8(hash) } };
        return await mutations.run(["x"], asked, () => ({ changes: [put("a", "1")], result: "done" }));
      };
      {
        await using store = await world.open();
        expect(await run(store)).toBe("done");
      }
      const after = world.afterPowerLoss("gone");
      await using store = await after.open();
      expect(await refusal(run(store))).toEqual(new AlreadyAnswered(utf8("done")));
      await expect(run(store, "other")).rejects.toMatchObject({ code: "rpc.request-mismatch" });
      expect(store.sequence).toBe(1);
    });
  });

  describe(`${name}: after a power loss`, () => {
    it.each(UNSYNCED)("has everything it had acknowledged, what was unsynced being %s", async (unsynced) => {
      const step = fc.record({
        changes: fc.array(
          fc.tuple(fc.constantFrom("a", "b", "c", "d"), fc.option(fc.string({ maxLength: 9 }))),
          {
            maxLength: 4,
          },
        ),
        next: fc.constantFrom("wait", "go on", "checkpoint", "lose power"),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
          let world = make();
          let store = await world.open();
          const model = new Map<string, string>();
          let pending: Promise<unknown>[] = [];
          for (const { changes, next } of steps) {
            const all = changes.map(([key, text]) => (text === null ? drop(key) : put(key, text)));
            pending.push(store.transact(["x"], plan(all, "event")));
            for (const [key, text] of changes) {
              if (text === null) model.delete(key);
              else model.set(key, text);
            }
            if (next === "go on") continue;
            await Promise.all(pending);
            pending = [];
            if (next === "checkpoint") await store.checkpoint();
            if (next !== "lose power") continue;
            const after = world.afterPowerLoss(unsynced);
            await store[Symbol.asyncDispose]();
            [world, store] = [after, await after.open()];
            expect(texts(store)).toEqual(Object.fromEntries(model));
          }
          await Promise.all(pending);
          await store[Symbol.asyncDispose]();
          await using again = await world.afterPowerLoss(unsynced).open();
          expect(texts(again)).toEqual(Object.fromEntries(model));
        }),
        { numRuns: 15 },
      );
    });

    it.each(UNSYNCED)(
      "at any moment, has all that was shown, and nothing by halves; unsynced: %s",
      async (unsynced) => {
        const world = make();
        const moments: { readonly left: StoreWorld; readonly shown: number }[] = [];
        {
          await using store = await world.open();
          using _subscription = store.subscribe(() => {
            moments.push({ left: world.afterPowerLoss(unsynced), shown: store.sequence });
          });
          let isDone = false;
          const load = Array.from({ length: 12 }, async (_, at) => {
            await store.transact(
              [`${at % 3}`],
              plan([put(`a${at}`, "1"), put(`b${at}`, "1")], `event ${at}`),
            );
            if (at === 4) await store.checkpoint();
          });
          const all = Promise.all(load).finally(() => {
            isDone = true;
          });
          while (!isDone) {
            moments.push({ left: world.afterPowerLoss(unsynced), shown: store.sequence });
            await setImmediate();
          }
          await all;
          moments.push({ left: world.afterPowerLoss(unsynced), shown: store.sequence });
        }
        for (const { left, shown } of moments) {
          await using store = await left.open();
          expect(store.sequence).toBeGreaterThanOrEqual(shown);
          const keys = Object.keys(texts(store));
          expect(keys).toHaveLength(2 * store.sequence);
          for (const key of keys) expect(keys).toContain(`${key.startsWith("a") ? "b" : "a"}${key.slice(1)}`);
          // Each event that belongs to what is there, once: heard before, or handed over now.
          expect(new Set(eventsOf(left.audit)).size).toBe(left.audit.entries.length);
          expect(left.audit.entries).toHaveLength(store.sequence);
        }
      },
    );
  });

  describe(`${name}: a checkpoint`, () => {
    it("changes nothing that can be read, and leaves no file that held what was deleted before", async () => {
      const world = make();
      await using store = await world.open();
      await store.transact(["x"], plan([put("kept", "1"), put("gone", "canary")], "event"));
      await store.checkpoint();
      await store.transact(["x"], plan([drop("gone")], "event"));
      const [before, shown] = [world.contents, everything(store)];
      await store.checkpoint();
      expect(everything(store)).toEqual(shown);
      const after = [...world.contents.values()].map((bytes) => Buffer.from(bytes));
      for (const [path, bytes] of before) {
        if (path.endsWith("/header")) continue;
        const isThere = after.some((file) => file.subarray(0, bytes.length).equals(bytes));
        expect({ path, isThere }).toEqual({ path, isThere: false });
      }
      await using again = await world.afterPowerLoss("gone").open();
      expect(everything(again)).toEqual(shown);
    });

    it("lets changes go on beside it, and can be asked for by many at once", async () => {
      const world = make();
      {
        await using store = await world.open();
        await store.transact(["x"], plan([put("first", "1")]));
        const checkpoints = Array.from({ length: 4 }, () => store.checkpoint());
        const changes = Array.from({ length: 20 }, (_, at) =>
          store.transact(["x"], plan([put(`k${at}`, "1")])),
        );
        await Promise.all([...checkpoints, ...changes]);
      }
      await using store = await world.afterPowerLoss("gone").open();
      expect(Object.keys(texts(store))).toHaveLength(21);
    });
  });
}
