import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hex, utf8 } from "../../src/core/index.ts";
import { sha256 } from "../../src/crypto/index.ts";
import { gatehouse } from "../../src/gen/index.ts";
import {
  openVaultKeyring,
  parseSecretPath,
  type RotationEnd,
  type RotationKind,
  type RotationWish,
  type Vault,
} from "../../src/vault/index.ts";
import { event, put, read, remove, VaultPlace } from "./support.ts";

const { StoredSecret, StoredVersion } = gatehouse.v1;
const WISH: RotationWish = { ended: ({ kind, state }) => utf8(`${kind} ${state}`) };
const KINDS: readonly RotationKind[] = ["kek", "deks"];

async function rotate(vault: Vault, kind: RotationKind): Promise<void> {
  await vault.rotation.begin(kind, WISH, event(`begin ${kind}`));
  await vault.rotation.finished();
  expect(vault.rotation.progress).toMatchObject({ kind, state: "done" });
}

async function terms(place: VaultPlace): Promise<readonly number[]> {
  const { keks } = await openVaultKeyring(place.dir, place.kek, { random: place.random });
  return keks.map(({ term }) => term);
}

/** Sealed bytes as they lie in the records, by version. */
function sealedOf(vault: Vault): ReadonlyMap<string, string> {
  const records = vault.store.list("version", { after: "", before: "\x7f", limit: 10_000 });
  return new Map(records.map(({ key, body }) => [key, Buffer.from(body).toString("hex")]));
}

const textsOf = ({ audit }: VaultPlace): readonly string[] =>
  audit.entries.flatMap(({ events }) => events.map((bytes) => new TextDecoder().decode(bytes)));

async function fill(vault: Vault, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await put(vault, `folder/${index % 40}`, `value ${index}`);
  }
}

async function expectFilled(vault: Vault, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    expect(await read(vault, `folder/${index % 40}`, Math.floor(index / 40) + 1)).toBe(`value ${index}`);
  }
}

/** Each version's record names the hash of the sealed value before it, and the head that of the last. */
function expectChain(vault: Vault, path: string): void {
  const range = { after: `${path}#`, before: `${path}#\x7f`, limit: 100 };
  const hashes = vault.store.list("version", range).map(({ key, body }) => {
    const { sealedValue, previousHash } = StoredVersion.decode(body);
    const inline = sealedValue.length > 0 ? sealedValue : vault.store.get("value", key)?.body;
    return { previousHash: hex(previousHash), hash: hex(sha256(inline ?? new Uint8Array())) };
  });
  for (const [index, { previousHash }] of hashes.entries()) {
    expect(previousHash).toBe(hashes[index - 1]?.hash ?? "");
  }
  const head = vault.store.get("secret", path)?.body ?? new Uint8Array();
  expect(hex(StoredSecret.decode(head).latestHash)).toBe(hashes.at(-1)?.hash);
}

describe("rotating", () => {
  it.each(KINDS)("%s changes how every version lies there, and none of what is in it", async (kind) => {
    await using place = await VaultPlace.make();
    {
      await using vault = await place.open();
      await fill(vault, 100);
      await put(vault, "large", "x".repeat(100_000));
      await remove(vault, "folder/3");
      const before = sealedOf(vault);
      await rotate(vault, kind);
      const after = sealedOf(vault);
      expect([...after.keys()]).toEqual([...before.keys()]);
      for (const [key, sealed] of after) expect(sealed).not.toBe(before.get(key));
      expect(vault.rotation.progress).toMatchObject({ done: 101, total: 101 });
    }
    await using vault = await place.open();
    await vault.secrets.undelete({ path: parseSecretPath("folder/3") }, event("undelete"));
    await expectFilled(vault, 100);
    expect(await read(vault, "large")).toBe("x".repeat(100_000));
    expect(await put(vault, "large", "next")).toBe(2);
    expect(await read(vault, "large", 1)).toBe("x".repeat(100_000));
  });

  it("kek leaves the new term only, in the header on disk", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await fill(vault, 3);
    await rotate(vault, "kek");
    expect(await terms(place)).toEqual([2]);
    await rotate(vault, "kek");
    expect(await terms(place)).toEqual([3]);
    await expectFilled(vault, 3);
  });

  it("deks keeps the chain: each version is bound to the one before as it lies there now", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    for (let index = 0; index < 6; index += 1) await put(vault, "a", "x".repeat(index * 30_000));
    await rotate(vault, "deks");
    await put(vault, "a", "after");
    await rotate(vault, "deks");
    for (let index = 0; index < 6; index += 1) {
      expect(await read(vault, "a", index + 1)).toBe("x".repeat(index * 30_000));
    }
    expect(await read(vault, "a")).toBe("after");
    expectChain(vault, "a");
  });

  it.each(KINDS)("%s is recorded when it begins and when it ends", async (kind) => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await put(vault, "a", "1");
    await rotate(vault, kind);
    expect(textsOf(place)).toEqual(["put a", `begin ${kind}`, `${kind} done`]);
  });

  it("an empty vault is done at once", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    for (const kind of KINDS) await rotate(vault, kind);
    expect(await terms(place)).toEqual([2]);
  });

  it("happens once at a time, and a second wish is refused", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await fill(vault, 80);
    await vault.rotation.begin("kek", WISH, event("begin"));
    await expect(vault.rotation.begin("deks", WISH, event("begin"))).rejects.toMatchObject({
      ...{ code: "vault.rotating", exitCode: 7 },
    });
    await vault.rotation.finished();
  });

  it("tells how far it is, ever more, to its end", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await fill(vault, 100);
    await vault.rotation.begin("deks", WISH, event("begin"));
    const seen: number[] = [];
    const states = new Set<string>();
    for await (const { done, state } of vault.rotation.watch(new AbortController().signal)) {
      seen.push(done);
      states.add(state);
    }
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(100);
    expect([...states]).toEqual(["running", "done"]);
  });
});

describe("a rotation", () => {
  it.each(KINDS)("of %s that is aborted loses nothing, and the next takes up all of it", async (kind) => {
    await using place = await VaultPlace.make();
    {
      await using vault = await place.open();
      await fill(vault, 100);
      await vault.rotation.begin(kind, WISH, event("begin"));
      expect(await vault.rotation.abort(WISH)).toBe(true);
      expect(vault.rotation.progress).toMatchObject({ state: "aborted" });
      expect(await vault.rotation.abort(WISH)).toBe(false);
      await expectFilled(vault, 100);
    }
    await using vault = await place.open();
    await rotate(vault, "kek");
    await expectFilled(vault, 100);
    expect(await terms(place)).toHaveLength(1);
  });

  it.each(KINDS)("of %s that was cut short waits, and goes on where it was", async (kind) => {
    await using place = await VaultPlace.make();
    {
      await using vault = await place.open();
      await fill(vault, 100);
      await vault.rotation.begin(kind, WISH, event("begin"));
    }
    await using vault = await place.open();
    expect(vault.rotation.progress).toMatchObject({ kind, state: "waiting", total: 100 });
    await expectFilled(vault, 100);
    const ends: RotationEnd[] = [];
    const ended = (end: RotationEnd): Uint8Array => {
      ends.push(end);
      return utf8("ended");
    };
    vault.rotation.resume({ ended });
    await vault.rotation.finished();
    expect(ends).toMatchObject([{ kind, state: "done", done: 100 }]);
    await expectFilled(vault, 100);
  });

  it("and puts, removals and destructions beside it, in any order, come out as without it", async () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ do: fc.constant("put" as const), path: fc.integer({ min: 0, max: 4 }) }),
      },
      fc.record({ do: fc.constant("destroy" as const), path: fc.integer({ min: 0, max: 4 }) }),
      fc.record({ do: fc.constant("reopen" as const), path: fc.constant(0) }),
      fc.record({ do: fc.constantFrom(...KINDS), path: fc.constant(0) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
        await using place = await VaultPlace.make();
        const expected = new Map<string, string>();
        const latest = new Map<string, number>();
        let vault = await place.open();
        const pending: Promise<unknown>[] = [];
        for (const [index, { do: what, path: number }] of steps.entries()) {
          const path = `p/${number}`;
          if (what === "put") {
            const version = (latest.get(path) ?? 0) + 1;
            latest.set(path, version);
            expected.set(`${path}#${version}`, `value ${index}`);
            pending.push(put(vault, path, `value ${index}`));
          } else if (what === "destroy") {
            const version = latest.get(path);
            if (version === undefined) continue;
            expected.delete(`${path}#${version}`);
            pending.push(vault.secrets.destroy({ path: parseSecretPath(path), version }, event("destroy")));
          } else if (what === "reopen") {
            await Promise.all(pending.splice(0));
            await vault[Symbol.asyncDispose]();
            vault = await place.open();
            vault.rotation.resume(WISH);
          } else if (vault.rotation.progress?.state !== "running") {
            pending.push(vault.rotation.begin(what, WISH, event("begin")).catch(() => undefined));
          }
        }
        await Promise.all(pending);
        await vault.rotation.finished();
        for (const [name, value] of expected) {
          const [path = "", version] = name.split("#");
          expect(await read(vault, path, Number(version))).toBe(value);
        }
        await vault[Symbol.asyncDispose]();
      }),
      { numRuns: 30 },
    );
  });
});
