import { readdir } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/core/index.ts";
import {
  AlreadyAnswered,
  type Checkpointer,
  localCheckpointer,
  type Mutation,
  parseSecretPath,
  systemFiles,
  type Vault,
} from "../../src/vault/index.ts";
import { loadSnapshot } from "../../src/vault/recovery.ts";
import { event, put, read, VaultPlace } from "./support.ts";

const PATH = parseSecretPath("a");
const KEY = "a#0000000000000001";
const NOT_ERASED = expect.objectContaining({ code: "vault.not-erased", isRetryable: true });

/** Makes checkpoints, or fails to while told so; opens what it made. */
class WatchedCheckpoints {
  isBroken = false;
  made = 0;
  newestImage = new Uint8Array();

  readonly make: Checkpointer = async (task) => {
    if (this.isBroken) throw new Error("injected failure");
    const position = await localCheckpointer()(task);
    const snapshot = await loadSnapshot({ files: systemFiles, dir: task.dir, keys: task.keys }, task.to);
    this.newestImage = Uint8Array.from(snapshot.image);
    this.made += 1;
    return position;
  };

  holds(bytes: Uint8Array): boolean {
    return Buffer.from(this.newestImage).includes(Buffer.from(bytes));
  }
}

function replayable<Result>(requestId: number): Mutation<Result> {
  const replay = {
    ...{ principal: "device", requestId: Uint8Array.of(requestId), requestHash: utf8("hash") },
    reply: () => utf8("done"),
  };
  return { audit: utf8("destroy"), replay };
}

function stored(vault: Vault, space: "version" | "value"): Uint8Array {
  return vault.store.get(space, KEY)?.body ?? new Uint8Array();
}

async function historyFiles(place: VaultPlace): Promise<readonly string[]> {
  return (await readdir(place.dir)).filter((name) => /^(journal|snapshot)-/.test(name));
}

describe("a destroyed secret", () => {
  it.each([
    ["small", "value"],
    ["large", "value".repeat(10_000)],
  ])("leaves every file of the vault before the answer: a %s one", async (_size, value) => {
    await using place = await VaultPlace.make();
    const checkpoints = new WatchedCheckpoints();
    await using vault = await place.open({ checkpointer: checkpoints.make });
    await put(vault, "a", value);
    await put(vault, "other", "stays");
    await vault.store.checkpoint();
    const sealed = [stored(vault, "version"), stored(vault, "value")].filter(({ length }) => length > 0);
    for (const bytes of sealed) expect(checkpoints.holds(bytes.subarray(-64))).toBe(true);
    const before = await historyFiles(place);
    expect(before.length).toBeGreaterThan(0);

    await vault.secrets.destroy({ path: PATH }, event());
    const after = await historyFiles(place);
    expect(after.filter((name) => before.includes(name))).toEqual([]);
    for (const bytes of sealed) expect(checkpoints.holds(bytes.subarray(-64))).toBe(false);
    expect(await read(vault, "other")).toBe("stays");
    expect(vault.store.sizeOf("erasure")).toBe(0);
  });

  it("is destroyed, and said to be still in files, when these cannot be written anew", async () => {
    await using place = await VaultPlace.make();
    const checkpoints = new WatchedCheckpoints();
    await using vault = await place.open({ checkpointer: checkpoints.make });
    await put(vault, "a", "1");
    expect(await read(vault, "a")).toBe("1");
    checkpoints.isBroken = true;
    await expect(vault.secrets.destroy({ path: PATH }, event())).rejects.toEqual(NOT_ERASED);
    await expect(read(vault, "a")).rejects.toMatchObject({ code: "vault.not-found" });
    await expect(vault.secrets.destroy({ path: PATH }, event())).rejects.toEqual(NOT_ERASED);
    checkpoints.isBroken = false;
    expect(await vault.secrets.destroy({ path: PATH }, event())).toEqual({ versions: [1] });
    expect(checkpoints.made).toBe(1);
  });

  it("is not answered as done to a retry either, until its files are gone", async () => {
    await using place = await VaultPlace.make();
    const checkpoints = new WatchedCheckpoints();
    await using vault = await place.open({ checkpointer: checkpoints.make });
    await put(vault, "a", "1");
    checkpoints.isBroken = true;
    const destroy = () => vault.secrets.destroy({ path: PATH }, replayable(1));
    await expect(destroy()).rejects.toEqual(NOT_ERASED);
    await expect(destroy()).rejects.toEqual(NOT_ERASED);
    checkpoints.isBroken = false;
    await expect(destroy()).rejects.toBeInstanceOf(AlreadyAnswered);
    expect(checkpoints.made).toBe(1);
  });

  it("leaves the files after a restart when it could not before", async () => {
    await using place = await VaultPlace.make();
    const checkpoints = new WatchedCheckpoints();
    {
      checkpoints.isBroken = true;
      await using vault = await place.open({ checkpointer: checkpoints.make });
      await put(vault, "a", "1");
      await expect(vault.secrets.destroy({ path: PATH }, event())).rejects.toEqual(NOT_ERASED);
    }
    checkpoints.isBroken = false;
    await using vault = await place.open({ checkpointer: checkpoints.make });
    const before = await historyFiles(place);
    await vault.secrets.completeErasure();
    expect((await historyFiles(place)).filter((name) => before.includes(name))).toEqual([]);
    await vault.secrets.completeErasure();
    expect(checkpoints.made).toBe(1);
  });

  it("shares its checkpoint with others that are destroyed at the same time", async () => {
    await using place = await VaultPlace.make();
    const checkpoints = new WatchedCheckpoints();
    await using vault = await place.open({ checkpointer: checkpoints.make });
    const names = Array.from({ length: 20 }, (_, index) => `s/${index}`);
    await Promise.all(names.map((name) => put(vault, name, "x")));
    await Promise.all(names.map((name) => vault.secrets.destroy({ path: parseSecretPath(name) }, event())));
    expect(checkpoints.made).toBeLessThan(names.length / 2);
    expect(vault.store.sizeOf("erasure")).toBe(0);
  });
});

describe("what a sweep destroyed", () => {
  it("leaves the files when that is asked for", async () => {
    await using place = await VaultPlace.make();
    const checkpoints = new WatchedCheckpoints();
    await using vault = await place.open({ checkpointer: checkpoints.make });
    const input = { path: PATH, value: utf8("1"), createdBy: "tester", ttlMs: 1_000 };
    await vault.secrets.put(input, event());
    const sealed = stored(vault, "version").subarray(-64);
    place.clock.advance(1_000);
    await vault.secrets.sweepExpired(10, event());
    expect(checkpoints.made).toBe(0);
    const before = await historyFiles(place);
    await vault.secrets.completeErasure();
    expect((await historyFiles(place)).filter((name) => before.includes(name))).toEqual([]);
    expect(checkpoints.holds(sealed)).toBe(false);
  });
});
