import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect, joinGatehouse, METHODS, Remotes } from "../../src/client/index.ts";
import { isGatehouseError, silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { Daemon, type PairingDoorEvent } from "../../src/daemon/index.ts";
import { tlsExporter } from "../../src/grpc/index.ts";
import {
  formatPairingUri,
  type PairingSecret,
  PairMessageDecoder,
  parsePairingUri,
} from "../../src/pairing/index.ts";
import { Newcomer } from "../support/pairing-dial.ts";
import { Middle } from "./middle.ts";

let dir: string;
let daemon: Daemon;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "gatehouse-middle-"));
  daemon = await Daemon.start({
    ...{
      home: join(dir, "a"),
      keyDir: join(dir, "keys"),
      version: "0.0.0",
      pid: 1,
      init: { name: "kitchen" },
    },
    ...{ listen: [{ host: "127.0.0.1", port: 0 }] },
    ...{ clock: systemClock, random: systemRandom, logger: silentLogger },
  });
});
afterEach(async () => {
  await daemon[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

function parse(text: string) {
  const [host = "", port = ""] = text.split(":");
  return { host, port: Number(port) };
}
const address = () => parse(daemon.ready.quic);
const tcpAddress = () => parse(daemon.ready.grpc ?? "");

async function openWindow() {
  const events = daemon.openPairing({}, new AbortController().signal)[Symbol.asyncIterator]();
  const { value } = await events.next();
  if (value?.kind !== "opened" || value.code === undefined) throw new Error("the window did not open");
  const next = async (): Promise<PairingDoorEvent["kind"] | undefined> => (await events.next()).value?.kind;
  return { code: value.code, uri: value.uri, next };
}

const joining = (target: string, code?: string) => ({
  ...{ home: join(dir, "b"), target, code, name: "phone", kind: "test", platform: "test" },
});

const failureOf = async (work: Promise<unknown>): Promise<string> =>
  await work.then(
    () => "none",
    (failure: unknown) => (isGatehouseError(failure) ? failure.code : String(failure)),
  );

/** Whom the gatehouse knows, and how many gatehouses the joiner does. */
async function paired(): Promise<{ readonly devices: number; readonly remotes: number }> {
  await using owner = await connect({ home: join(dir, "a") });
  const { devices } = await owner.call(METHODS.Device.List, {});
  return { devices: devices.length, remotes: (await Remotes.of(join(dir, "b")).list()).length };
}

describe("a man in the middle, who ends QUIC on both sides with certificates of its own", () => {
  it("is met by both sides' refusal when the code passes through its hands, and costs that code", async () => {
    const { code, next } = await openWindow();
    await using middle = await Middle.open(address());
    expect(await failureOf(joinGatehouse(joining(middle.address, code)))).toBe("pairing.wrong-code");
    expect(await next()).toBe("burnt");
    // The whole exchange went through it, up to the gatehouse's verdict.
    expect(middle.heard.map(({ from }) => from)).toEqual(Array(3).fill(["joiner", "gatehouse"]).flat());
    expect(await paired()).toEqual({ devices: 1, remotes: 0 });
  });

  it("is met by it when the URI leads to its address, and the window stays for the one who was meant", async () => {
    const { uri, next } = await openWindow();
    await using middle = await Middle.open(address());
    const astray = formatPairingUri({ ...parsePairingUri(uri), address: middle.address });
    expect(await failureOf(joinGatehouse(joining(astray)))).toBe("pairing.wrong-code");
    expect(await paired()).toEqual({ devices: 1, remotes: 0 });
    expect(await failureOf(joinGatehouse(joining(uri)))).toBe("none");
    expect(await next()).toBe("paired");
    expect(await paired()).toEqual({ devices: 2, remotes: 1 });
  });

  it("gains nothing by saying again what it has recorded, in the window it was said in and in the next", async () => {
    const first = await openWindow();
    await using middle = await Middle.open(address());
    const astray = formatPairingUri({ ...parsePairingUri(first.uri), address: middle.address });
    await failureOf(joinGatehouse(joining(astray)));
    const recorded = middle.heard.filter(({ from }) => from === "joiner").map(({ bytes }) => bytes);
    expect(recorded).toHaveLength(3);
    const own = await Newcomer.make();
    expect(await replay(own, recorded)).toBe("refused");
    expect(await failureOf(joinGatehouse(joining(first.uri)))).toBe("none");
    expect(await first.next()).toBe("paired");
    await openWindow();
    expect(await replay(own, recorded)).toBe("refused");
    expect((await paired()).devices).toBe(2);
  });
});

describe("a man in the middle of TCP", () => {
  it.each([
    { near: "tcp", far: "tcp" },
    { near: "tcp", far: "quic" },
    { near: "quic", far: "tcp" },
  ] as const)(
    "from $near to $far is met by both sides' refusal, and costs the code",
    async ({ near, far }) => {
      const { code, next } = await openWindow();
      await using middle = await Middle.open(far === "quic" ? address() : tcpAddress(), { near, far });
      const wire = near;
      const target = { address: parse(middle.address), secret: { mode: "code", code } as const, wire };
      const newcomer = await Newcomer.make();
      await using dialled = await newcomer.dial(target);
      expect(await failureOf(dialled.joined)).toBe("pairing.wrong-code");
      expect(await next()).toBe("burnt");
      expect(middle.heard.map(({ from }) => from)).toEqual(Array(3).fill(["joiner", "gatehouse"]).flat());
      expect((await paired()).devices).toBe(1);
    },
  );

  it("who had both sides' TLS keys would still end two connections where there should be one", async () => {
    // The joiner is made to believe in the gatehouse's own certificate: only the connections' names differ then.
    const { uri, next } = await openWindow();
    const { secret, gatehouseId } = parsePairingUri(uri);
    const proof: PairingSecret = { mode: "uri", secret, gatehouseId };
    const newcomer = await Newcomer.make();
    const other = await newcomer.connectTcp(tcpAddress());
    const binding = { kind: "tls-exporter", bytes: tlsExporter(other.socket) } as const;
    other.socket.destroy();
    for (const astray of [binding, { kind: "none" } as const]) {
      await using dialled = await newcomer.dial({
        ...{ address: tcpAddress(), secret: proof, wire: "tcp" },
        asInitiator: { binding: astray },
      });
      expect(await failureOf(dialled.joined)).toBe("pairing.wrong-code");
    }
    await using over = await newcomer.dial({
      ...{ address: address(), secret: proof, wire: "quic" },
      asInitiator: { binding },
    });
    expect(await failureOf(over.joined)).toBe("pairing.wrong-code");
    await using right = await newcomer.dial({ address: tcpAddress(), secret: proof, wire: "tcp" });
    await (await right.joined).acknowledge();
    expect(await next()).toBe("paired");
  });
});

/** Says what was recorded, message for message; answers whether the gatehouse ended it. */
async function replay(own: Newcomer, messages: readonly Uint8Array[]): Promise<"refused" | "believed"> {
  await using quic = await own.connect(address());
  const stream = quic.connection.openStream();
  const decoder = new PairMessageDecoder();
  return await new Promise((resolve) => {
    let answers = 0;
    const say = (): void => {
      const next = messages[answers];
      if (next !== undefined) stream.write(next, false);
      else resolve("believed");
    };
    stream.attach({
      data: (bytes, fin) => {
        answers += decoder.push(bytes).length;
        if (fin) resolve("refused");
        else say();
      },
      drain: () => undefined,
      closed: () => resolve("refused"),
    });
    say();
  });
}
