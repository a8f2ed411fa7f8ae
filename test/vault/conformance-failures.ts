import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hex, isGatehouseError, utf8 } from "../../src/core/index.ts";
import { sha256 } from "../../src/crypto/index.ts";
import type { VaultStore } from "../../src/vault/index.ts";
import { times } from "../support/effort.ts";
import { everything, plan, put, refusal, texts } from "./conformance-support.ts";
import type { Unsynced } from "./memory-disk.ts";
import type { StoreWorld } from "./store-world.ts";

const UNSYNCED: readonly Unsynced[] = ["gone", "half", "there"];
const READ_ONLY = { code: "vault.read-only" };

/** What `toEqual` says of bytes too, and takes a hundred times as long for. */
const digestOf = (contents: ReadonlyMap<string, Uint8Array>): string =>
  [...contents].map(([path, bytes]) => `${path} ${hex(sha256(bytes))}`).join("\n");

const addsPair = (store: VaultStore, name: string) =>
  store.transact([name], plan([put(`${name}/a`, "1"), put(`${name}/b`, "1")], name));

/** What a store does when its disk or its audit log fails, what lies there is damaged, or it is closed. */
export function describeFailures(name: string, make: () => StoreWorld): void {
  describe(`${name}: on a full disk`, () => {
    it("refuses changes as not having happened, shows what it showed, and takes them again in time", async () => {
      const world = make();
      await using store = await world.open();
      await addsPair(store, "before");
      const shown = everything(store);
      world.breakDisk("full");
      const refused = await Promise.all(["p", "q", "r"].map((each) => refusal(addsPair(store, each))));
      for (const failure of refused) expect(failure).toMatchObject(READ_ONLY);
      expect(store.state).toMatchObject({ kind: "read-only", reason: expect.any(String) });
      expect(everything(store)).toEqual(shown);
      world.mendDisk();
      for (const unsynced of UNSYNCED) {
        await using again = await world.afterPowerLoss(unsynced).open();
        expect(everything(again)).toEqual(shown);
        expect(again.state).toEqual({ kind: "serving" });
        await addsPair(again, "after");
      }
    });

    it("loses nothing by a checkpoint that cannot be written", async () => {
      const world = make();
      await using store = await world.open();
      await addsPair(store, "before");
      world.breakDisk("full");
      const failure = await refusal(store.checkpoint());
      const isOfPort =
        isGatehouseError(failure, "vault.checkpoint-failed") || isGatehouseError(failure, "vault.read-only");
      expect(isOfPort).toBe(true);
      world.mendDisk();
      for (const unsynced of UNSYNCED) {
        await using again = await world.afterPowerLoss(unsynced).open();
        expect(Object.keys(texts(again))).toEqual(["before/a", "before/b"]);
      }
    });
  });

  describe(`${name}: on a disk that cannot say what it kept`, () => {
    it("calls the outcome unknown, never shows it, and takes no more changes", async () => {
      const world = make();
      await using store = await world.open();
      await addsPair(store, "before");
      const shown = everything(store);
      world.breakDisk("failing");
      await expect(addsPair(store, "unknown")).rejects.toMatchObject({ code: "rpc.outcome-unknown" });
      expect(everything(store)).toEqual(shown);
      expect(store.state.kind).toBe("read-only");
      world.mendDisk();
      await expect(addsPair(store, "later")).rejects.toMatchObject(READ_ONLY);
      await expect(store.checkpoint()).rejects.toMatchObject(READ_ONLY);
    });

    it.each(UNSYNCED)(
      "has it whole or not at all once opened again, what was unsynced being %s",
      async (unsynced) => {
        const world = make();
        await using store = await world.open();
        await addsPair(store, "before");
        world.breakDisk("failing");
        await refusal(addsPair(store, "unknown"));
        world.mendDisk();
        await using again = await world.afterPowerLoss(unsynced).open();
        const keys = Object.keys(texts(again));
        expect([2, 4]).toContain(keys.length);
        expect(keys.filter((key) => key.startsWith("before/"))).toHaveLength(2);
        expect(again.state).toEqual({ kind: "serving" });
        await addsPair(again, "after");
      },
    );
  });

  describe(`${name}: with some operations of the disk failing, then none`, () => {
    it("keeps what it acknowledged, has nothing of what it refused, and the rest whole or not at all", async () => {
      const run = fc.record({ after: fc.nat({ max: 40 }), count: fc.integer({ min: 1, max: 6 }) });
      const fault = fc.constantFrom("full" as const, "failing" as const);
      const mends = fc.nat({ max: 9 });
      await fc.assert(
        fc.asyncProperty(
          run,
          fault,
          fc.constantFrom(...UNSYNCED),
          mends,
          async (faults, kind, unsynced, mended) => {
            const world = make();
            await using store = await world.open();
            world.breakDisk(kind, faults);
            const outcomes = new Map<string, unknown>();
            for (let at = 0; at < 10; at += 1) {
              if (at === mended) world.mendDisk();
              const [one, two] = [`${at}-one`, `${at}-two`];
              const checkpoint = at % 3 === 2 ? refusal(store.checkpoint()) : Promise.resolve();
              const refused = await Promise.all([one, two].map((each) => refusal(addsPair(store, each))));
              await checkpoint;
              outcomes.set(one, refused[0]).set(two, refused[1]);
            }
            const shown = texts(store);
            await using again = await world.afterPowerLoss(unsynced).open();
            const kept = texts(again);
            for (const [each, failure] of outcomes) {
              const isKept = [`${each}/a`, `${each}/b`].map((key) => key in kept);
              expect(isKept[0]).toBe(isKept[1]);
              const isUnknown = isGatehouseError(failure, "rpc.outcome-unknown");
              const isPossible = isUnknown || isKept[0] === (failure === undefined);
              expect({ each, failure, isKept, isPossible }).toMatchObject({ isPossible: true });
              expect(`${each}/a` in shown).toBe(failure === undefined);
            }
            await addsPair(again, "after");
          },
        ),
        { numRuns: times({ short: 60, long: 300 }) },
      );
    });
  });

  describe(`${name}: with an audit log that fails`, () => {
    it("takes no more changes, and hands the event over when it is opened again", async () => {
      const world = make();
      await using store = await world.open();
      await addsPair(store, "before");
      world.audit.isBroken = true;
      await expect(addsPair(store, "unheard")).rejects.toMatchObject({ code: "rpc.outcome-unknown" });
      expect(store.state.kind).toBe("read-only");
      await expect(addsPair(store, "later")).rejects.toMatchObject(READ_ONLY);
      const after = world.afterPowerLoss("there");
      await using again = await after.open();
      expect(Object.keys(texts(again))).toHaveLength(4);
      expect(after.audit.entries.map(({ events }) => events)).toEqual([[utf8("before")], [utf8("unheard")]]);
    });
  });

  describe(`${name}: with one bit changed`, () => {
    it("does not open, wherever it is, and changes nothing", async () => {
      const world = make();
      {
        await using store = await world.open();
        await addsPair(store, "first");
        await store.checkpoint();
        await addsPair(store, "second");
      }
      const { contents } = world;
      for (const [path, bytes] of contents) {
        for (let offset = 0; offset < bytes.length; offset += offset < 150 ? 1 : 487) {
          const changed = bytes.with(offset, (bytes[offset] ?? 0) ^ (1 << (offset % 8)));
          const damaged = world.withContents(new Map([...contents, [path, changed]]));
          const before = damaged.contents;
          const failure = await refusal(damaged.open());
          expect({ path, offset, failure }).toMatchObject({ failure: { code: "vault.damaged" } });
          expect(digestOf(damaged.contents)).toBe(digestOf(before));
        }
      }
    });
  });

  describe(`${name}: closing`, () => {
    it("waits for what is under way and refuses what comes", async () => {
      const world = make();
      const store = await world.open();
      const underway = ["a", "b", "c"].map((each) => addsPair(store, each));
      const closing = store[Symbol.asyncDispose]();
      const draining = { code: "rpc.draining" };
      await expect(addsPair(store, "late")).rejects.toMatchObject(draining);
      await expect(store.putIfVersion("setting", "late", utf8("1"), 0)).rejects.toMatchObject(draining);
      await expect(store.checkpoint()).rejects.toMatchObject(draining);
      await Promise.all(underway);
      await closing;
      await store[Symbol.asyncDispose]();
      await using again = await world.open();
      expect(again.sequence).toBe(3);
    });
  });
}
