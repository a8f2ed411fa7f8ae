import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect, METHODS } from "../../src/client/index.ts";
import {
  type Clock,
  isGatehouseError,
  LIMITS,
  silentLogger,
  systemClock,
  systemRandom,
} from "../../src/core/index.ts";
import { Daemon, type DaemonOptions, type PairingDoorEvent } from "../../src/daemon/index.ts";
import { type PairingSecret, parsePairingUri } from "../../src/pairing/index.ts";
import { impatientClock } from "../support/impatient-clock.ts";
import { Newcomer } from "../support/pairing-dial.ts";

const PLACES = 32;

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "gatehouse-pairing-tcp-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function serve(clock: Clock = systemClock, more: Partial<DaemonOptions> = {}): Promise<Daemon> {
  return Daemon.start({
    ...{ home: join(dir, "a"), keyDir: join(dir, "keys"), version: "0.0.0", pid: 1 },
    ...{ init: { name: "kitchen" }, listen: [{ host: "127.0.0.1", port: 0 }] },
    ...{ clock, random: systemRandom, logger: silentLogger, ...more },
  });
}

async function openWindow(daemon: Daemon) {
  const leaving = new AbortController();
  const events = daemon.openPairing({}, leaving.signal)[Symbol.asyncIterator]();
  const { value } = await events.next();
  if (value?.kind !== "opened" || value.code === undefined) throw new Error("no window");
  const { gatehouseId, secret } = parsePairingUri(value.uri);
  return {
    byCode: { mode: "code", code: value.code } satisfies PairingSecret as PairingSecret,
    byUri: { mode: "uri", secret, gatehouseId } satisfies PairingSecret as PairingSecret,
    next: async (): Promise<PairingDoorEvent | undefined> => (await events.next()).value ?? undefined,
    close: async (): Promise<void> => {
      leaving.abort();
      await events.next().catch(() => undefined);
    },
  };
}

function addressOf(text: string | undefined) {
  const [host = "", port = ""] = (text ?? "").split(":");
  return { host, port: Number(port) };
}
const tcpOf = ({ ready }: Daemon) => ({ address: addressOf(ready.grpc), wire: "tcp" as const });
const quicOf = ({ ready }: Daemon) => ({ address: addressOf(ready.quic), wire: "quic" as const });

const failureOf = async (work: Promise<unknown>): Promise<string> =>
  await work.then(
    () => "none",
    (failure: unknown) => (isGatehouseError(failure) ? failure.code : String(failure)),
  );

function wrong(secret: PairingSecret): PairingSecret {
  if (secret.mode === "uri") return { ...secret, secret: new Uint8Array(secret.secret.length) };
  return { mode: "code", code: secret.code === "000000" ? "000001" : "000000" };
}

describe("pairing over TCP", () => {
  it.each(["byCode", "byUri"] as const)("%s ends with a device that is let in", async (how) => {
    await using daemon = await serve();
    const window = await openWindow(daemon);
    const alice = await Newcomer.make();
    await using dialled = await alice.dial({ ...tcpOf(daemon), secret: window[how] });
    const { result, acknowledge } = await dialled.joined;
    expect(result.deviceId).toBe(alice.identity.id);
    await acknowledge();
    expect(await window.next()).toMatchObject({ kind: "paired", device: { name: "newcomer" } });
    // It is shut at once, on both wires.
    for (const door of [tcpOf(daemon), quicOf(daemon)]) {
      expect(await failureOf(alice.dial({ ...door, secret: window[how] }))).toBe("quic.not-admitted");
    }
    await using owner = await connect({ home: join(dir, "a") });
    expect((await owner.call(METHODS.Device.List, {})).devices).toHaveLength(2);
  });

  it("burns the code on a wrong guess, for both wires", async () => {
    await using daemon = await serve();
    const { byCode, next } = await openWindow(daemon);
    const [mallory, alice] = [await Newcomer.make(), await Newcomer.make()];
    await using guess = await mallory.dial({ ...tcpOf(daemon), secret: wrong(byCode) });
    expect(await failureOf(guess.joined)).toBe("pairing.wrong-code");
    expect(await next()).toEqual({ kind: "burnt" });
    for (const door of [tcpOf(daemon), quicOf(daemon)]) {
      expect(await failureOf(alice.dial({ ...door, secret: byCode }))).toBe("quic.not-admitted");
    }
    await using owner = await connect({ home: join(dir, "a") });
    expect((await owner.call(METHODS.Health.Status, {})).burntCodes).toBe(1);
  });

  it("tries a code once at a time, whatever the wires", async () => {
    await using daemon = await serve();
    const { byCode } = await openWindow(daemon);
    const [mallory, alice] = [await Newcomer.make(), await Newcomer.make()];
    await using silent = await mallory.dial({
      ...{ ...quicOf(daemon), secret: byCode },
      asInitiator: { identity: muteAfterHello(mallory) },
    });
    expect(await failureOf(silent.joined)).toBe("pairing.bad-message");
    const attempt = async (): Promise<string> => {
      await using dialled = await alice.dial({ ...tcpOf(daemon), secret: byCode });
      return await failureOf(dialled.joined);
    };
    expect(await attempt()).toBe("pairing.busy");
    await silent[Symbol.asyncDispose]();
    let outcome = await attempt();
    while (outcome === "pairing.busy") outcome = await attempt();
    expect(outcome).toBe("none");
  });

  it("waits for somebody's yes, who sees where the joiner is", async () => {
    await using daemon = await serve();
    await using owner = await connect({ home: join(dir, "a") });
    const events = owner.stream(METHODS.Pairing.Open, { requireApproval: true });
    const opened = (await events.next()).value?.opened;
    const alice = await Newcomer.make();
    const secret: PairingSecret = { mode: "code", code: opened?.code ?? "" };
    await using dialled = await alice.dial({ ...tcpOf(daemon), secret });
    await dialled.pending;
    const { joiners } = await owner.call(METHODS.Pairing.Waiting, {});
    expect(joiners).toMatchObject([{ deviceId: alice.identity.id, remoteAddress: "127.0.0.1" }]);
    await owner.call(METHODS.Pairing.Decide, { device: alice.identity.id, approve: true });
    await (await dialled.joined).acknowledge();

    const others = owner.stream(METHODS.Pairing.Open, { requireApproval: true });
    const second = (await others.next()).value?.opened;
    const bob = await Newcomer.make();
    await using refused = await bob.dial({
      ...{ ...tcpOf(daemon), secret: { mode: "code", code: second?.code ?? "" } },
      asInitiator: { name: "another" },
    });
    await refused.pending;
    await owner.call(METHODS.Pairing.Decide, { device: bob.identity.id, approve: false });
    expect(await failureOf(refused.joined)).toBe("pairing.denied");
  });

  it.each([
    ["TCP", tcpOf],
    ["QUIC", quicOf],
  ] as const)("gives a joiner whose link broke its grant again, over %s", async (_wire, doorOf) => {
    await using daemon = await serve();
    const { byCode, next } = await openWindow(daemon);
    const alice = await Newcomer.make();
    const lost = await alice.dial({ ...tcpOf(daemon), secret: byCode });
    const { result } = await lost.joined;
    await lost[Symbol.asyncDispose]();
    expect(await next()).toMatchObject({ kind: "paired" });
    await using again = await alice.dial({ ...doorOf(daemon), secret: byCode });
    const second = await again.joined;
    expect(second.result.certificate).toEqual(result.certificate);
    await second.acknowledge();
  });

  it("is refused with its reason when the window closes in the middle", async () => {
    await using daemon = await serve();
    await using owner = await connect({ home: join(dir, "a") });
    const events = owner.stream(METHODS.Pairing.Open, { requireApproval: true });
    const opened = (await events.next()).value?.opened;
    const alice = await Newcomer.make();
    const secret: PairingSecret = { mode: "code", code: opened?.code ?? "" };
    await using dialled = await alice.dial({ ...tcpOf(daemon), secret });
    await dialled.pending;
    await events.return?.();
    expect(await failureOf(dialled.joined)).toBe("pairing.closed");
  });

  it("ends in order when the daemon does", async () => {
    await using daemon = await serve();
    await openWindow(daemon);
    const { socket } = await (await Newcomer.make()).connectTcp(tcpOf(daemon).address);
    const ended = new Promise((resolve) => {
      socket.resume().once("end", () => resolve("in order"));
      socket.once("close", () => resolve("cut off"));
    });
    await daemon[Symbol.asyncDispose]();
    expect(await ended).toBe("in order");
  });

  it("is not there where gRPC is off", async () => {
    await using daemon = await serve(systemClock, { grpc: "off" });
    const { byCode } = await openWindow(daemon);
    const alice = await Newcomer.make();
    expect(await failureOf(alice.dial({ ...quicOf(daemon), wire: "tcp", secret: byCode }))).toBe(
      "quic.unreachable",
    );
    await using dialled = await alice.dial({ ...quicOf(daemon), secret: byCode });
    expect(await failureOf(dialled.joined)).toBe("none");
  });
});

describe("strangers at a pairing window over TCP", () => {
  it("who say nothing, or little, are sent away", async () => {
    await using daemon = await serve(impatientClock);
    await openWindow(daemon);
    const newcomer = await Newcomer.make();
    const [mute, curt] = [await arrive(newcomer, daemon), await arrive(newcomer, daemon)];
    curt.write(Buffer.from([0x90]));
    expect(await Promise.all([gone(mute), gone(curt)])).toEqual(["gone", "gone"]);
  });

  it("who speak nonsense hear a refusal, and no more", async () => {
    await using daemon = await serve();
    const { byCode, next } = await openWindow(daemon);
    const newcomer = await Newcomer.make();
    for (const nonsense of [Buffer.from([0]), Buffer.alloc(8_192, 0xff)]) {
      const socket = await arrive(newcomer, daemon);
      let said = "";
      socket.on("data", (chunk: Buffer) => (said += chunk.toString("latin1")));
      socket.write(nonsense);
      await gone(socket);
      expect(said).toContain("pairing.bad-message");
    }
    await using dialled = await newcomer.dial({ ...tcpOf(daemon), secret: byCode });
    await (await dialled.joined).acknowledge();
    expect(await next()).toMatchObject({ kind: "paired" });
  });

  it("share their places with those over QUIC, and keep nobody out", async () => {
    await using daemon = await serve();
    const { byCode, next } = await openWindow(daemon);
    const newcomer = await Newcomer.make();
    const tcp: TLSSocket[] = [];
    for (let count = 0; count < PLACES / 2; count += 1) tcp.push(await arrive(newcomer, daemon));
    const quic = [];
    for (let count = 0; count < PLACES / 2 + 4; count += 1)
      quic.push(await newcomer.connect(quicOf(daemon).address));
    // All of them come from one address: the oldest go.
    await Promise.all(tcp.slice(0, 4).map(gone));
    expect(tcp.filter(({ destroyed }) => destroyed)).toHaveLength(4);
    await using dialled = await newcomer.dial({ ...tcpOf(daemon), secret: byCode });
    await (await dialled.joined).acknowledge();
    expect(await next()).toMatchObject({ kind: "paired" });
    for (const socket of tcp) socket.destroy();
    for (const connection of quic) await connection[Symbol.asyncDispose]();
  });

  it("have their exchanges without a proof counted like others", async () => {
    await using daemon = await serve();
    const { byCode, next } = await openWindow(daemon);
    const ended = next();
    for (let count = 0; count < LIMITS.pairingUnprovenAttempts; count += 1) {
      const newcomer = await Newcomer.make();
      const doorOf = count % 2 === 0 ? tcpOf : quicOf;
      await using dialled = await newcomer.dial({
        ...{ ...doorOf(daemon), secret: byCode },
        asInitiator: { identity: muteAfterHello(newcomer) },
      });
      await failureOf(dialled.joined);
    }
    expect(await ended).toEqual({ kind: "burnt" });
  });

  async function arrive(newcomer: Newcomer, daemon: Daemon): Promise<TLSSocket> {
    return (await newcomer.connectTcp(tcpOf(daemon).address)).socket;
  }

  async function gone(socket: TLSSocket): Promise<"gone"> {
    socket.resume();
    if (!socket.destroyed) await new Promise((resolve) => socket.once("close", resolve));
    return "gone";
  }
});

/** An identity that fails its own side when it should prove itself: the exchange ends after the shares. */
function muteAfterHello({ identity }: Newcomer) {
  return {
    publicKey: identity.publicKey,
    sign: (): Uint8Array => {
      throw new Error("no more of this");
    },
  };
}
