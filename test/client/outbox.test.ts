import { copyFile, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { METHODS, type SettledCall } from "../../src/client/index.ts";
import { Link } from "../../src/client/link/link.ts";
// An outbox is made by a device for its own connections; here it stands on a link whose ends the test decides.
import type { Outbox } from "../../src/client/offline/outbox.ts";
import { type ErrorCode, GatehouseError, isGatehouseError, LIMITS } from "../../src/core/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { failure, PING } from "./fake-gatehouse.ts";
import { OutboxHome, RememberingGatehouse } from "./remembering-gatehouse.ts";

const { Put, Get } = METHODS.Vault;
const GONE = failure("quic.unreachable");
const HOUR_MS = 3_600_000;

let root: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "gatehouse-outbox-"));
});
afterAll(async () => {
  await rm(root, { recursive: true });
});

function newHome(): OutboxHome {
  count += 1;
  return new OutboxHome(join(root, String(count)));
}

/** Its link connects when it is needed, as that of a device which may be off the net. */
function linkTo(gatehouse: RememberingGatehouse): Link {
  const { clock, random } = gatehouse;
  return Link.whenNeeded({ dialer: gatehouse, clock, random, resumption: "early" });
}

const value = Buffer.from("hush-hush");
const put = (outbox: Outbox, path: string) => outbox.enqueue(Put, { path, value });
const outcome = (answer: Promise<{ readonly version: unknown }>): Promise<string> =>
  answer.then(
    ({ version }) => String(version),
    (error: unknown) => (isGatehouseError(error) ? error.code : String(error)),
  );
const toldTo = (told: string[]) => ({
  onSettled: ({ outcome: end, method }: SettledCall) => {
    const what = end.kind === "failed" ? end.error.code : String(Put.response.decode(end.response).version);
    told.push(method === Put.path ? what : `? ${what}`);
  },
});

describe("calls that wait", () => {
  it("are on disk, sealed and private, when they are said to be, and gone when they are answered", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse([GONE, GONE, "open"])];
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    const { answer, requestId } = await put(outbox, "secret-path");
    const [name = "", ...others] = await home.files();
    expect(others).toEqual([]);
    expect(name).toBe(`000000000001-${Buffer.from(requestId).toString("hex")}.call`);
    const bytes = await readFile(join(home.folder, name));
    expect(bytes.includes(value) || bytes.includes("secret-path") || bytes.includes("Vault")).toBe(false);
    expect((await stat(join(home.folder, name))).mode & 0o777).toBe(0o600);
    for (const dir of [home.dir, home.folder]) expect((await stat(dir)).mode & 0o777).toBe(0o700);
    expect(await outbox.list()).toMatchObject([{ requestId, method: Put.path, firstSentAt: undefined }]);
    await gatehouse.passUntil(answer);
    expect(await answer).toMatchObject({ version: 1 });
    expect(await home.files()).toEqual([]);
  });

  it("are sent in the order they were asked, each when the one before has its answer", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse(["open"])];
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    const paths = Array.from({ length: 12 }, (_, index) => `p${index}`);
    const asked = await Promise.all(paths.map((path) => put(outbox, path)));
    const answers = Promise.all(asked.map(({ answer }) => outcome(answer)));
    await gatehouse.passUntil(answers);
    expect(await answers).toEqual(paths.map((_, index) => String(index + 1)));
    expect(gatehouse.made).toEqual(paths);
    expect(gatehouse.mostUnderWay).toBe(1);
  });

  it("stay, unsent, while nobody can be reached, and go when somebody can, however late", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse([GONE])];
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    const { answer } = await put(outbox, "a");
    await gatehouse.passUntil(() => gatehouse.dials.length > 4);
    gatehouse.clock.advance(72 * HOUR_MS);
    expect(await outbox.list()).toMatchObject([{ firstSentAt: undefined }]);
    gatehouse.script = ["open"];
    await gatehouse.passUntil(answer);
    expect(gatehouse.made).toEqual(["a"]);
  });

  it("whose answers a broken link takes along are sent again under their ids, and done once each", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse(["open"])];
    gatehouse.cutsAfter = 5;
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    const asked = await Promise.all(["a", "b", "c"].map((path) => put(outbox, path)));
    const answers = Promise.all(asked.map(({ answer }) => outcome(answer)));
    await gatehouse.passUntil(answers);
    expect(await answers).toEqual(["1", "2", "3"]);
    expect(gatehouse.made).toEqual(["a", "b", "c"]);
    expect(new Set(gatehouse.asked).size).toBe(3);
    expect(gatehouse.asked.length).toBeGreaterThan(3);
  });

  it.each(["rpc.deadline", "rpc.draining", "rpc.overloaded", "rpc.rate-limited"] as const)(
    "stay when an attempt ends with %s, before those that came after them",
    async (code) => {
      const [home, gatehouse] = [newHome(), new RememberingGatehouse(["open"])];
      gatehouse.refusals = [failure(code), failure(code)];
      await using link = linkTo(gatehouse);
      await using outbox = home.process(gatehouse, link);
      const asked = [await put(outbox, "a"), await put(outbox, "b")];
      await gatehouse.passUntil(Promise.all(asked.map(({ answer }) => answer)));
      expect(gatehouse.made).toEqual(["a", "b"]);
    },
  );

  it("come back when the gatehouse says, not sooner, and not later than in five minutes", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse(["open"])];
    const later = (retryAfterMs: number) => new GatehouseError("rpc.rate-limited", "later", { retryAfterMs });
    gatehouse.refusals = [later(20_000), later(24 * HOUR_MS)];
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    const { answer } = await put(outbox, "a");
    await gatehouse.passUntil(() => gatehouse.refusals.length === 1);
    const firstMs = gatehouse.clock.monotonicMs();
    await gatehouse.passUntil(() => gatehouse.refusals.length === 0);
    const secondMs = gatehouse.clock.monotonicMs();
    expect(secondMs - firstMs).toBeGreaterThanOrEqual(20_000);
    gatehouse.clock.advance(LIMITS.outboxRetryAfterMaxMs - 5_000);
    expect(gatehouse.made).toEqual([]);
    await gatehouse.passUntil(answer);
    expect(gatehouse.clock.monotonicMs() - secondMs).toBeLessThan(LIMITS.outboxRetryAfterMaxMs + 60_000);
  });

  it.each(["authz.denied", "vault.version-conflict", "vault.sealed"] as const)(
    "end with %s when that is the answer, and hold up nobody",
    async (code) => {
      const [home, gatehouse] = [newHome(), new RememberingGatehouse(["open"])];
      gatehouse.refusals = [failure(code)];
      await using link = linkTo(gatehouse);
      await using outbox = home.process(gatehouse, link);
      const [first, second] = [await put(outbox, "a"), await put(outbox, "b")];
      await gatehouse.passUntil(second.answer);
      expect([await outcome(first.answer), await outcome(second.answer)]).toEqual([code, "1"]);
      expect(await home.files()).toEqual([]);
    },
  );

  it.each([
    ["authz.denied", "rpc.outcome-unknown"],
    ["vault.version-conflict", "vault.version-conflict"],
  ] as const)("that may have been done and are then answered with %s end with %s", async (code, told) => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse(["open"])];
    gatehouse.refusals = [failure("rpc.deadline"), failure(code)];
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    const { answer } = await put(outbox, "a");
    await gatehouse.passUntil(answer);
    expect(await outcome(answer)).toBe(told);
  });

  it("are changes that a gatehouse remembers, of a size it takes, and no others", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse(["open"])];
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    await expect(outbox.enqueue(Get, { path: "a" })).rejects.toThrow(TypeError);
    await expect(outbox.enqueue(PING, {})).rejects.toThrow(TypeError);
    await expect(outbox.enqueue(METHODS.Seal.Seal, {})).rejects.toThrow(TypeError);
    const large = { path: "a", value: new Uint8Array(LIMITS.messageBytes) };
    await expect(outbox.enqueue(Put, large)).rejects.toMatchObject({ code: "rpc.too-large" });
    const requestId = new Uint8Array(15);
    await expect(outbox.enqueue(Put, { path: "a" }, { requestId })).rejects.toThrow(RangeError);
    await expect(outbox.enqueue(Put, { path: "a" }, { timeoutMs: 0 })).rejects.toThrow(RangeError);
    expect(await home.files()).toEqual([]);
  });

  it("have a request id each: one that waits already is not taken again", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse([GONE])];
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    await using other = home.process(gatehouse, link);
    const requestId = new Uint8Array(16).fill(7);
    await outbox.enqueue(Put, { path: "a" }, { requestId });
    for (const again of [outbox, other]) {
      const asked = again.enqueue(Put, { path: "b" }, { requestId });
      await expect(asked).rejects.toMatchObject({ code: "rpc.request-mismatch" });
    }
  });
});

/** One call that was sent and not answered, in a process that is gone. */
async function sentAndLeft(home: OutboxHome, gatehouse: RememberingGatehouse): Promise<void> {
  let open = (): void => undefined;
  gatehouse.gate = new Promise((resolve) => {
    open = resolve;
  });
  await using link = linkTo(gatehouse);
  await using outbox = home.process(gatehouse, link);
  await put(outbox, "a");
  await gatehouse.passUntil(() => gatehouse.underWay === 1);
  gatehouse.gate = Promise.resolve();
  await outbox[Symbol.asyncDispose]();
  open();
}

describe("what was sent once", () => {
  it("is sent again by the next process within a day, and its answer is told", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse(["open"])];
    await sentAndLeft(home, gatehouse);
    await gatehouse.passUntil(() => gatehouse.made.length === 1);
    gatehouse.clock.advance(22 * HOUR_MS);
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    const told: string[] = [];
    const drained = outbox.drain(toldTo(told));
    await gatehouse.passUntil(drained);
    await drained;
    expect([told, gatehouse.made]).toEqual([["1"], ["a"]]);
    expect(new Set(gatehouse.asked).size).toBe(1);
    expect(await home.files()).toEqual([]);
  });

  it.each([
    ["a day has passed", (gatehouse: RememberingGatehouse) => gatehouse.clock.advance(24 * HOUR_MS)],
    ["the clock says so", (gatehouse: RememberingGatehouse) => gatehouse.clock.stepWall(24 * HOUR_MS)],
    ["the clock was set back", (gatehouse: RememberingGatehouse) => gatehouse.clock.stepWall(-301_000)],
  ])("is not sent again when %s, and its outcome is told to be unknown", async (_when, pass) => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse(["open"])];
    await sentAndLeft(home, gatehouse);
    await gatehouse.passUntil(() => gatehouse.made.length === 1);
    pass(gatehouse);
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    const next = await put(outbox, "b");
    const told: string[] = [];
    const drained = outbox.drain(toldTo(told));
    await gatehouse.passUntil(drained);
    expect(await outcome(next.answer)).toBe("2");
    expect([told, gatehouse.made]).toEqual([["rpc.outcome-unknown"], ["a", "b"]]);
    expect(gatehouse.asked).toHaveLength(2);
  });

  it("is told to be unknown in the process that sent it, too, when a day has passed meanwhile", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse(["open"])];
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    gatehouse.cutsAfter = 1;
    const { answer } = await put(outbox, "a");
    gatehouse.script = ["open", GONE];
    await gatehouse.passUntil(() => gatehouse.dials.length > 3);
    // By the wall clock no time has passed at all.
    gatehouse.clock.advance(24 * HOUR_MS);
    gatehouse.clock.stepWall(-24 * HOUR_MS);
    gatehouse.script = ["open"];
    await gatehouse.passUntil(answer);
    expect(await outcome(answer)).toBe("rpc.outcome-unknown");
    expect(gatehouse.made).toEqual(["a"]);
  });
});

describe("an outbox", () => {
  it("is drained by the next process, which hears of all answers in order, whatever its listener does", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse([GONE])];
    await using link = linkTo(gatehouse);
    const left = await (async () => {
      await using outbox = home.process(gatehouse, link);
      return [await put(outbox, "a"), await put(outbox, "b"), await put(outbox, "c")];
    })();
    expect(await Promise.all(left.map(({ answer }) => outcome(answer)))).toEqual(
      Array.from({ length: 3 }, () => "quic.closed"),
    );
    expect(await home.files()).toHaveLength(3);
    gatehouse.script = ["open"];
    gatehouse.refusals = [failure("vault.full")];
    const warned: string[] = [];
    await using outbox = home.process(gatehouse, link, { warned });
    const told: string[] = [];
    const { onSettled } = toldTo(told);
    const drained = outbox.drain({
      onSettled: (call) => {
        onSettled(call);
        throw new Error("as the test says");
      },
    });
    await gatehouse.passUntil(drained);
    await drained;
    expect(told).toEqual(["vault.full", "1", "2"]);
    expect(gatehouse.made).toEqual(["b", "c"]);
    expect(warned).toEqual(Array.from({ length: 3 }, () => "outbox-listener-failed"));
  });

  it("keeps answers that nobody asked for until somebody does", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse([GONE])];
    await using link = linkTo(gatehouse);
    await (async () => {
      await using outbox = home.process(gatehouse, link);
      await put(outbox, "a");
    })();
    gatehouse.script = ["open"];
    await using outbox = home.process(gatehouse, link);
    const { answer } = await put(outbox, "b");
    await gatehouse.passUntil(answer);
    expect(await outcome(answer)).toBe("2");
    expect((await home.files()).map((name) => name.split(".")[1])).toEqual(["answer"]);
    expect(await outbox.list()).toEqual([]);
    const told: string[] = [];
    const drained = outbox.drain(toldTo(told));
    await gatehouse.passUntil(drained);
    expect([told, await home.files()]).toEqual([["1"], []]);
  });

  it("takes 256 calls and no more, until one is answered", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse([GONE])];
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    const asked = Array.from({ length: LIMITS.outboxCalls }, (_, index) => put(outbox, `p${index}`));
    const handles = await Promise.all(asked);
    const full = await put(outbox, "more").catch((error: unknown) => error);
    expect(full).toMatchObject({ code: "client.outbox-full", isRetryable: true });
    gatehouse.script = ["open"];
    const [first] = handles;
    if (first === undefined) throw new Error("nothing was asked");
    await gatehouse.passUntil(first.answer);
    await expect(put(outbox, "more")).resolves.toBeDefined();
  }, 60_000);

  it("takes 16 MiB and no more", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse([GONE])];
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    const large = { path: "a", value: new Uint8Array(LIMITS.secretValueBytes) };
    for (let index = 0; index < 15; index += 1) await outbox.enqueue(Put, large);
    await expect(outbox.enqueue(Put, large)).rejects.toMatchObject({ code: "client.outbox-full" });
    await expect(put(outbox, "small")).resolves.toBeDefined();
  });

  it("gives up answers that nobody comes for when it is full", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse(["open"])];
    await using link = linkTo(gatehouse);
    await (async () => {
      gatehouse.script = [GONE];
      await using outbox = home.process(gatehouse, link);
      await put(outbox, "left");
    })();
    gatehouse.script = ["open"];
    await using outbox = home.process(gatehouse, link);
    const { answer } = await put(outbox, "a");
    await gatehouse.passUntil(answer);
    const [answerFile = ""] = await home.files();
    expect(answerFile).toMatch(/\.answer$/);
    for (let index = 1; index < LIMITS.outboxCalls; index += 1) {
      const [place, id] = [String(index).padStart(12, "0"), String(index).padStart(32, "0")];
      const name = `${place}-${id}.answer`;
      await copyFile(join(home.folder, answerFile), join(home.folder, name));
    }
    await expect(put(outbox, "more")).resolves.toBeDefined();
    expect((await home.files()).length).toBeLessThanOrEqual(LIMITS.outboxCalls);
  });

  it("stops waiting for what is drained when it is told to, and sends on", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse([GONE])];
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    const { answer } = await put(outbox, "a");
    const controller = new AbortController();
    const drained = outbox.drain({ signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(drained).rejects.toThrow("enough");
    gatehouse.script = ["open"];
    await gatehouse.passUntil(answer);
    expect(gatehouse.made).toEqual(["a"]);
  });
});

describe("a file in an outbox", () => {
  /** Three calls of a process that is gone. */
  async function leftBehind() {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse([GONE])];
    const link = linkTo(gatehouse);
    await (async () => {
      await using outbox = home.process(gatehouse, link);
      for (const path of ["a", "b", "c"]) await put(outbox, path);
    })();
    gatehouse.script = ["open"];
    const files = (await home.files()).map((name) => join(home.folder, name));
    const [first = "", second = "", third = ""] = files;
    return { home, gatehouse, link, first, second, third };
  }

  async function drain(
    { home, gatehouse, link }: Awaited<ReturnType<typeof leftBehind>>,
    identity?: DeviceIdentity,
  ) {
    const [told, warned]: [string[], string[]] = [[], []];
    await using _link = link;
    await using outbox = home.process(gatehouse, link, {
      warned,
      ...(identity === undefined ? {} : { identity }),
    });
    const drained = outbox.drain(toldTo(told));
    await gatehouse.passUntil(drained);
    await drained;
    return { told, warned, made: gatehouse.made, aside: (await home.setAside()).length };
  }

  it.each([
    ["has a flipped bit", (bytes: Buffer) => bytes.map((byte, at) => (at === 90 ? byte ^ 1 : byte))],
    ["is empty", () => Buffer.alloc(0)],
    ["is cut", (bytes: Buffer) => bytes.subarray(0, bytes.length - 1)],
    ["is far too large", () => Buffer.alloc(2 * LIMITS.messageBytes)],
    [
      "is of another version",
      (bytes: Buffer) => Buffer.concat([Buffer.from("GHO\u0002"), bytes.subarray(4)]),
    ],
  ])("that %s is set aside and told, and the others are sent", async (_what, spoil) => {
    const left = await leftBehind();
    await writeFile(left.second, spoil(await readFile(left.second)));
    expect(await drain(left)).toEqual({
      told: ["1", "? file.damaged", "2"],
      warned: ["outbox-file-set-aside"],
      made: ["a", "c"],
      aside: 1,
    });
  });

  it("that took another's place is set aside: its place and its id are part of it", async () => {
    const left = await leftBehind();
    await rename(left.third, left.first);
    expect(await drain(left)).toMatchObject({ told: ["? file.damaged", "1"], made: ["b"], aside: 1 });
  });

  it("that nobody here has written is set aside, whatever it is called", async () => {
    const left = await leftBehind();
    await writeFile(join(left.home.folder, "notes.txt"), "hello");
    await writeFile(join(left.home.folder, "zz.call"), "hello");
    expect(await drain(left)).toMatchObject({
      told: ["? file.damaged", "? file.damaged", "1", "2", "3"],
      aside: 2,
    });
  });

  it("of another identity is set aside, and never sent in this one's name", async () => {
    const left = await leftBehind();
    const stranger = DeviceIdentity.generate(new SeededRandom(77));
    expect(await drain(left, stranger)).toMatchObject({
      told: Array.from({ length: 3 }, () => "? file.damaged"),
      made: [],
      aside: 3,
    });
  });

  it("that is damaged fails the process that waits for it, too", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse([GONE])];
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    const { answer } = await put(outbox, "a");
    const [name = ""] = await home.files();
    await writeFile(join(home.folder, name), "x");
    await gatehouse.passUntil(answer);
    expect(await outcome(answer)).toBe("file.damaged");
  });

  it("that somebody removes ends its call as unknown", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse([GONE])];
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    const { answer } = await put(outbox, "a");
    for (const name of await home.files()) await rm(join(home.folder, name));
    await gatehouse.passUntil(answer);
    expect(await outcome(answer)).toBe("rpc.outcome-unknown");
  });

  it("is kept aside sixteen times and no more", async () => {
    const left = await leftBehind();
    for (let index = 0; index < 40; index += 1) await writeFile(join(left.home.folder, `junk-${index}`), "x");
    expect((await drain(left)).aside).toBe(LIMITS.outboxSetAside);
    expect(await readdir(left.home.folder)).toContain(".set-aside");
  });
});

describe("two processes of one home", () => {
  it("send one after the other, in the order of both, and each gets its own answers", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse([GONE])];
    await using linkA = linkTo(gatehouse);
    await using linkB = linkTo(gatehouse);
    await using a = home.process(gatehouse, linkA);
    await using b = home.process(gatehouse, linkB);
    const asked = [];
    for (const [index, outbox] of [a, b, b, a, b, a].entries()) asked.push(await put(outbox, `p${index}`));
    gatehouse.script = ["open"];
    const answers = Promise.all(asked.map(({ answer }) => outcome(answer)));
    await gatehouse.passUntil(answers);
    expect(await answers).toEqual(["1", "2", "3", "4", "5", "6"]);
    expect(gatehouse.made).toEqual(["p0", "p1", "p2", "p3", "p4", "p5"]);
    expect(gatehouse.mostUnderWay).toBe(1);
    expect(await home.files()).toEqual([]);
  });

  it("hear each of its own alone: who listens for what was left behind is not told of calls that others wait for", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse([GONE])];
    await using linkA = linkTo(gatehouse);
    await using linkB = linkTo(gatehouse);
    await using a = home.process(gatehouse, linkA);
    await using b = home.process(gatehouse, linkB);
    await put(a, "a");
    const told: string[] = [];
    const drained = a.drain(toldTo(told));
    await gatehouse.passUntil(() => gatehouse.dials.length > 1);
    const other = await put(b, "b");
    gatehouse.script = ["open"];
    await gatehouse.passUntil(Promise.all([drained, other.answer]));
    expect([await outcome(other.answer), told]).toEqual(["2", []]);
  });

  it("tell errors across, too, and one goes on where the other has left off", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse([GONE])];
    await using linkA = linkTo(gatehouse);
    await using linkB = linkTo(gatehouse);
    const a = home.process(gatehouse, linkA);
    await using b = home.process(gatehouse, linkB);
    const first = await put(a, "a");
    await gatehouse.passUntil(() => gatehouse.dials.length > 1);
    const denied = await put(b, "b");
    const last = await put(b, "c");
    gatehouse.refusals = [failure("rpc.overloaded"), failure("authz.denied"), failure("authz.denied")];
    gatehouse.script = ["open"];
    await gatehouse.passUntil(denied.answer);
    await a[Symbol.asyncDispose]();
    await gatehouse.passUntil(last.answer);
    const outcomes = [first, denied, last].map(({ answer }) => outcome(answer));
    expect(await Promise.all(outcomes)).toEqual(["authz.denied", "authz.denied", "1"]);
    await expect(denied.answer).rejects.toThrow("authz.denied as the test says");
  });
});

const EVERY_KEPT: readonly ErrorCode[] = ["quic.unreachable", "quic.wrong-server"];

describe("an attempt to reach the gatehouse", () => {
  it.each(EVERY_KEPT)("that fails with %s says nothing of the calls that wait", async (code) => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse([failure(code), failure(code), "open"])];
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    const { answer } = await put(outbox, "a");
    await gatehouse.passUntil(answer);
    expect(await outcome(answer)).toBe("1");
  });

  it("that is refused because the device was revoked ends them", async () => {
    const [home, gatehouse] = [newHome(), new RememberingGatehouse([failure("device.revoked")])];
    await using link = linkTo(gatehouse);
    await using outbox = home.process(gatehouse, link);
    const { answer } = await put(outbox, "a");
    await gatehouse.passUntil(answer);
    expect(await outcome(answer)).toBe("device.revoked");
  });
});
