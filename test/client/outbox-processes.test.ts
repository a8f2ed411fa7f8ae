/** Calls that wait, over real connections to a real gatehouse, by processes that are killed. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAddress } from "../../src/client/address.ts";
import { type Client, connect, METHODS, Remotes } from "../../src/client/index.ts";
import { hex } from "../../src/core/index.ts";
import type { Daemon } from "../../src/daemon/index.ts";
import { OUTBOX_PROCESS_PATH } from "../support/outbox-process.ts";
import { TsxChild } from "../support/tsx-child.ts";
import { UdpRelay } from "../support/udp-relay.ts";
import { PairedHomes } from "./paired-homes.ts";

const { Put, Get, History } = METHODS.Vault;

let homes: PairedHomes;
let daemon: Daemon;
let relay: UdpRelay;
let owner: Client;
const phone = (): string => homes.home("phone");

beforeAll(async () => {
  homes = await PairedHomes.create();
  daemon = await homes.serve("hall");
  await homes.pair(daemon, "phone", "owner");
  relay = await UdpRelay.open(parseAddress(daemon.ready.quic).port);
  await Remotes.of(phone()).set("hall", { address: relay.address });
  owner = await connect({ home: homes.home("hall") });
});

afterAll(async () => {
  await owner[Symbol.asyncDispose]();
  await relay[Symbol.asyncDispose]();
  await homes[Symbol.asyncDispose]();
});

/** Values of all versions of a path, in order: each change that was made. */
async function made(path: string): Promise<readonly string[]> {
  const { versions } = await owner.call(History, { path }).catch(() => ({ versions: [] }));
  const values = versions.map(async ({ version }) => {
    const { value } = await owner.call(Get, { path, version: version ?? 0 });
    return Buffer.from(value).toString();
  });
  return (await Promise.all(values)).toReversed();
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo()));
}

describe("a process that is killed", () => {
  it("between sending a change and hearing of it leaves it to the next one, which makes none twice", async () => {
    const path = "killed/between";
    const values = ["1", "2", "3", "4", "5"];
    await using child = new TsxChild(OUTBOX_PROCESS_PATH);
    child.send({ home: phone(), path, values });
    await child.event("ready");
    relay.blocked.add("to-client");
    child.send({ event: "go" });
    await child.event("stored");
    await until(async () => (await made(path)).length === 1);
    await child[Symbol.asyncDispose]();
    relay.blocked.clear();
    await using client = await connect({ home: phone() });
    expect(await client.outbox.list()).toHaveLength(5);
    const told: string[] = [];
    await client.outbox.drain({
      onSettled: ({ outcome }) => {
        if (outcome.kind === "answered") told.push(String(Put.response.decode(outcome.response).version));
      },
    });
    expect(told).toEqual(values);
    expect(await made(path)).toEqual(values);
    expect(await client.outbox.list()).toEqual([]);
  });

  it("while another one waits leaves the sending to that, in the order of both", async () => {
    const path = "killed/beside";
    await using child = new TsxChild(OUTBOX_PROCESS_PATH);
    child.send({ home: phone(), path, values: ["1", "2", "3"] });
    await child.event("ready");
    relay.blocked.add("to-client");
    child.send({ event: "go" });
    await child.event("stored");
    await using client = await connect({ home: phone(), dial: "when-needed" });
    const { answer } = await client.enqueue(Put, { path, value: Buffer.from("4") });
    await until(async () => (await made(path)).length === 1);
    await child[Symbol.asyncDispose]();
    relay.blocked.clear();
    expect((await answer).version).toBe(4);
    expect(await made(path)).toEqual(["1", "2", "3", "4"]);
    const told: string[] = [];
    await client.outbox.drain({ onSettled: ({ outcome }) => void told.push(outcome.kind) });
    expect(told).toEqual(["answered", "answered", "answered"]);
  });
});

describe("a device off the net", () => {
  it("stores changes, comes back, and has made each once, in order, for a link that was cut under load", async () => {
    const path = "cut/load";
    const values = Array.from({ length: 30 }, (_, index) => String(index + 1));
    await using client = await connect({ home: phone() });
    const answers: Promise<{ readonly version: unknown }>[] = [];
    for (const [index, value] of values.entries()) {
      if (index === 8) relay.blocked.add("to-client");
      if (index === 12) relay.blocked.add("to-server");
      const enqueued = await client.enqueue(Put, { path, value: Buffer.from(value) }, { timeoutMs: 2_000 });
      answers.push(enqueued.answer);
    }
    // Calls of other kinds fail meanwhile, in their own time.
    await expect(client.call(METHODS.Health.Ping, {}, { timeoutMs: 1_500 })).rejects.toMatchObject({
      code: "rpc.deadline",
    });
    expect((await client.outbox.list()).length).toBeGreaterThan(0);
    relay.blocked.clear();
    const versions = (await Promise.all(answers)).map(({ version }) => String(version));
    expect(versions).toEqual(values);
    expect(await made(path)).toEqual(values);
  }, 60_000);

  it("connects to nobody until it has to, and keeps what it stores when it ends", async () => {
    relay.blocked.add("to-client").add("to-server");
    const stored = await (async () => {
      await using client = await connect({ home: phone(), dial: "when-needed" });
      await expect(client.call(METHODS.Health.Ping, {}, { timeoutMs: 200 })).rejects.toMatchObject({
        exitCode: 6,
      });
      return await client.enqueue(Put, { path: "off/net", value: Buffer.from("1") });
    })();
    await expect(stored.answer).rejects.toMatchObject({ code: "quic.closed" });
    relay.blocked.clear();
    await using client = await connect({ home: phone() });
    const told: string[] = [];
    await client.outbox.drain({
      onSettled: ({ requestId }) => void told.push(hex(requestId ?? new Uint8Array())),
    });
    expect(told).toEqual([hex(stored.requestId)]);
    expect(await made("off/net")).toEqual(["1"]);
  });

  it("that forgets a gatehouse forgets what waits for it", async () => {
    await homes.pair(daemon, "tablet");
    const tablet = homes.home("tablet");
    await using client = await connect({ home: tablet });
    await Remotes.of(tablet).set("hall", { address: "127.0.0.1:9" });
    const folderBefore = await client.outbox.list();
    expect(folderBefore).toEqual([]);
    await client[Symbol.asyncDispose]();
    await using away = await connect({ home: tablet, dial: "when-needed" });
    await away.enqueue(Put, { path: "x", value: Buffer.from("x") });
    expect(await away.outbox.list()).toHaveLength(1);
    await Remotes.of(tablet).remove("hall");
    expect(await away.outbox.list()).toEqual([]);
  });
});
