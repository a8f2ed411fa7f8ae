import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { bytes, idOf, World } from "./support.ts";

const { Put, Get, List, History, Remove } = METHODS.Vault;
const OWN = `devices/${idOf("phone")}`;

let world: World;

beforeEach(async () => {
  world = await World.open();
});

afterEach(async () => {
  await world[Symbol.asyncDispose]();
});

const put = (
  name: string,
  path: string,
  value: string,
  more: { ifVersion?: number } = {},
  requestId?: Uint8Array,
) =>
  world.call(name, Put, { path, value: bytes(value), ...more }, requestId === undefined ? {} : { requestId });
const text = async (name: string, path: string, version = 0) =>
  Buffer.from((await world.call(name, Get, { path, version })).value).toString();
const paths = async (name: string, prefix = "") =>
  (await world.call(name, List, { prefix })).secrets.map(({ path }) => path);

describe("a secret", () => {
  it("is shown to whom a policy lets see it, in each of its versions", async () => {
    expect(await put("owner", "shared/db", "one")).toMatchObject({ path: "shared/db", version: 1 });
    expect(await put("owner", "shared/db", "two")).toMatchObject({ version: 2 });
    expect(await text("phone", "shared/db")).toBe("two");
    expect(await text("phone", "shared/db", 1)).toBe("one");
    await expect(text("phone", "shared/db", 3)).rejects.toMatchObject({ code: "vault.version-not-found" });
  });

  it("in a device's own folder is that device's and the owner's alone", async () => {
    await put("phone", `${OWN}/token`, "mine");
    expect(await text("phone", `${OWN}/token`)).toBe("mine");
    expect(await text("owner", `${OWN}/token`)).toBe("mine");
    await expect(text("laptop", `${OWN}/token`)).rejects.toMatchObject({ code: "authz.denied" });
    await expect(put("laptop", `${OWN}/token`, "theirs")).rejects.toMatchObject({ code: "authz.denied" });
    expect(await text("owner", `${OWN}/token`)).toBe("mine");
  });

  it("that does not exist is not told from one that does to whom may see neither", async () => {
    await put("owner", "private/db", "x");
    const answers = await Promise.all(
      ["private/db", "private/no-such"].map((path) =>
        world.call("phone", Get, { path }).catch((error: Error) => error.message),
      ),
    );
    expect(answers[0]).toBe(answers[1]);
  });

  it("has a history with its writers, newest first", async () => {
    await put("owner", "shared/db", "one");
    await world.call("owner", Remove, { path: "shared/db" });
    await put("second", "shared/db", "three");
    const { versions } = await world.call("phone", History, { path: "shared/db" });
    expect(versions).toMatchObject([
      { version: 2, createdBy: idOf("second"), isRemoved: false, sizeBytes: 5 },
      { version: 1, createdBy: idOf("owner"), isRemoved: true },
    ]);
  });

  it("that is removed is gone from list and get", async () => {
    await put("owner", "shared/db", "one");
    expect(await world.call("owner", Remove, { path: "shared/db" })).toMatchObject({ version: 1 });
    await expect(text("owner", "shared/db")).rejects.toMatchObject({ code: "vault.not-found" });
    expect(await paths("owner")).toEqual([]);
    await expect(world.call("owner", Remove, { path: "shared/db" })).rejects.toMatchObject({
      code: "vault.not-found",
    });
  });

  it("is written and removed only at the version its caller saw", async () => {
    await put("owner", "shared/db", "one", { ifVersion: 0 });
    const conflict = expect.objectContaining({ code: "vault.version-conflict" });
    await expect(put("owner", "shared/db", "two", { ifVersion: 0 })).rejects.toEqual(conflict);
    await expect(put("owner", "shared/db", "two", { ifVersion: 7 })).rejects.toEqual(conflict);
    await expect(world.call("owner", Remove, { path: "shared/db", ifVersion: 7 })).rejects.toEqual(conflict);
    await put("owner", "shared/db", "two", { ifVersion: 1 });
    expect(await text("owner", "shared/db")).toBe("two");
    const lines = await world.auditLines();
    expect(lines.filter((line) => line.endsWith("failed vault.version-conflict"))).toHaveLength(3);
  });

  it.each(["", "/a", "a//b", "a/../b", "a b", "x".repeat(129), "ä"])(
    "has no path such as %j",
    async (path) => {
      const badPath = expect.objectContaining({ code: "vault.bad-path" });
      await expect(put("owner", path, "x")).rejects.toEqual(badPath);
      await expect(text("owner", path)).rejects.toEqual(badPath);
    },
  );

  it("is at most as large as the limit, and one as large is taken", async () => {
    const value = new Uint8Array(LIMITS.secretValueBytes).fill(1);
    await world.call("owner", Put, { path: "shared/large", value });
    expect((await world.call("phone", Get, { path: "shared/large" })).value).toHaveLength(value.length);
    const above = { path: "shared/large", value: new Uint8Array(value.length + 1) };
    await expect(world.call("owner", Put, above)).rejects.toMatchObject({ code: "vault.too-large" });
  });
});

describe("a list", () => {
  beforeEach(async () => {
    for (const path of [
      "private/a",
      "shared/a",
      "shared/deep/b",
      `${OWN}/c`,
      `devices/${idOf("laptop")}/d`,
    ]) {
      await put("owner", path, "x");
    }
  });

  it("holds what lies in the folders its caller may list, and no more", async () => {
    expect(await paths("owner")).toHaveLength(5);
    expect(await paths("phone")).toEqual([`${OWN}/c`, "shared/a", "shared/deep/b"]);
    expect(await paths("phone", "devices")).toEqual([`${OWN}/c`]);
    expect(await paths("guest")).toEqual([]);
  });

  it("of a folder that shows nothing and may not be listed is denied and on record", async () => {
    await expect(paths("phone", "private")).rejects.toMatchObject({ code: "authz.denied" });
    expect((await world.auditLines()).at(-1)).toBe("phone secret:list folder:private denied authz.denied");
  });

  it("comes in pages whose tokens name nothing that is hidden", async () => {
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await world.call("phone", List, { pageSize: 1, pageToken });
      seen.push(...page.secrets.map(({ path }) => path ?? ""));
      pageToken = page.nextPageToken;
      expect(pageToken === "" || seen.includes(pageToken)).toBe(true);
    } while (pageToken !== "");
    expect(seen).toEqual(await paths("phone"));
  });

  it("refuses a page token that is no path", async () => {
    const listed = world.call("owner", List, { pageToken: "../x" });
    await expect(listed).rejects.toMatchObject({ code: "vault.bad-path" });
  });
});

describe("a change that is asked for twice", () => {
  const requestId = new Uint8Array(16).fill(5);

  it("is made once and answered the same", async () => {
    const first = await put("owner", "shared/db", "one", {}, requestId);
    await put("owner", "shared/db", "two");
    const again = await put("owner", "shared/db", "one", {}, requestId);
    expect(again.version).toBe(first.version);
    expect(await text("owner", "shared/db")).toBe("two");
  });

  it("is made once when both come together", async () => {
    const answers = await Promise.all([1, 2, 3].map(() => put("owner", "shared/db", "one", {}, requestId)));
    expect(answers.map(({ version }) => version)).toEqual([1, 1, 1]);
    expect((await world.call("owner", History, { path: "shared/db" })).versions).toHaveLength(1);
  });

  it("with other words under the same id is a mismatch", async () => {
    await put("owner", "shared/db", "one", {}, requestId);
    const mismatch = expect.objectContaining({ code: "rpc.request-mismatch" });
    await expect(put("owner", "shared/db", "other", {}, requestId)).rejects.toEqual(mismatch);
    const remove = world.call("owner", Remove, { path: "shared/db" }, { requestId });
    await expect(remove).rejects.toEqual(mismatch);
    expect(await text("owner", "shared/db")).toBe("one");
  });

  it("by two devices under the same id is two changes", async () => {
    await put("owner", "shared/db", "one", {}, requestId);
    expect(await put("second", "shared/db", "one", {}, requestId)).toMatchObject({ version: 2 });
  });

  it("is not answered from memory to a device that may not make it any more", async () => {
    await put("phone", `${OWN}/token`, "one", {}, requestId);
    await world.call("owner", METHODS.Device.Revoke, { device: "phone" });
    const again = put("phone", `${OWN}/token`, "one", {}, requestId);
    await expect(again).rejects.toMatchObject({ code: "device.revoked" });
  });
});

describe("the audit log", () => {
  it("holds each change once, in the vault's own record, and each read", async () => {
    await put("owner", "shared/db", "the value");
    await text("phone", "shared/db");
    await world.call("owner", Remove, { path: "shared/db" });
    expect(await world.auditLines()).toEqual([
      "owner secret:write secret:shared/db done",
      "phone secret:reveal secret:shared/db allowed",
      "owner secret:write secret:shared/db done",
    ]);
    const rides = (await world.audited()).map(({ journalSequence }) => journalSequence > 0);
    expect(rides).toEqual([true, false, true]);
  });

  it("never holds a value", async () => {
    await put("owner", "shared/db", "the value");
    await text("phone", "shared/db");
    await expect(put("phone", "shared/db", "the value")).rejects.toMatchObject({ code: "authz.denied" });
    const events = (await world.audited()).map(({ event }) => event);
    const words = JSON.stringify(events, (_key, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value,
    );
    expect(words).not.toContain("the value");
  });
});

describe("long lists", () => {
  const hidden = 300;

  /** A gatehouse with many folders that `phone` may not list, and what was decided in each turn of the event loop. */
  async function crowded() {
    const decided: number[] = [0];
    const counting = await World.open(({ authorizer }) => ({
      authorizer: {
        decide: (request) => {
          decided[decided.length - 1] = (decided.at(-1) ?? 0) + 1;
          return authorizer.decide(request);
        },
      },
    }));
    for (let index = 0; index < hidden; index += 1) {
      await counting.call("owner", Put, { path: `f${index}/x`, value: bytes("v") });
    }
    decided.splice(0, decided.length, 0);
    return { counting, decided };
  }

  it("leave the event loop to others every few folders, however many walk", async () => {
    const { counting, decided } = await crowded();
    await using _world = counting;
    const walks = Array.from({ length: 8 }, () => counting.call("phone", List, {}));
    let isOver = false;
    const over = Promise.all(walks).then(() => {
      isOver = true;
    });
    while (!isOver) {
      await new Promise((resolve) => setImmediate(resolve));
      decided.push(0);
    }
    await over;
    const [first = 0, ...later] = decided;
    expect(first).toBeLessThanOrEqual(8 * 30);
    expect(later.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(8 * (hidden - 60));
    expect(Math.max(...later.slice(2))).toBeLessThanOrEqual(60);
  });

  it("stop when nobody waits for them any more", async () => {
    const { counting, decided } = await crowded();
    await using _world = counting;
    const walk = counting.call("phone", List, {}, { timeoutMs: 10 });
    const outcome = walk.catch((failure: unknown) => failure);
    counting.parts.clock.advance(1_000);
    expect(await outcome).toMatchObject({ code: "rpc.deadline" });
    for (let turn = 0; turn < 2 * hidden; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(decided.reduce((sum, count) => sum + count, 0)).toBeLessThan(hidden / 2);
  });
});
