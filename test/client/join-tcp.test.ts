/** Joining where UDP does not get through, and which wire it takes where both may. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect, type JoinOptions, joinGatehouse, METHODS, Remotes } from "../../src/client/index.ts";
import {
  type Clock,
  GatehouseError,
  isGatehouseError,
  silentLogger,
  systemClock,
  systemRandom,
} from "../../src/core/index.ts";
import { Daemon, type PairingDoorEvent } from "../../src/daemon/index.ts";
import { GrpcServer } from "../../src/grpc/index.ts";
import { formatPairingUri, PAIRING_ALPN, parsePairingUri } from "../../src/pairing/index.ts";
import { QuicServer } from "../../src/quic/index.ts";
import { Middle } from "../pairing/middle.ts";
import { isLong } from "../support/effort.ts";
import { Newcomer } from "../support/pairing-dial.ts";
import { TcpRelay, type TcpRelayOptions } from "../support/tcp-relay.ts";

const effects = { clock: systemClock, random: systemRandom, logger: silentLogger };

let dir: string;
let daemon: Daemon;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "gatehouse-join-tcp-"));
  daemon = await Daemon.start({
    ...{ home: join(dir, "hall"), keyDir: join(dir, "keys"), version: "0.0.0", pid: 1 },
    ...{ init: { name: "hall" }, listen: [{ host: "127.0.0.1", port: 0 }], ...effects },
  });
});
afterEach(async () => {
  await daemon[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

const portOf = (address: string | undefined): number => Number(address?.split(":")[1]);
const relayTo = (options?: TcpRelayOptions) => TcpRelay.open(portOf(daemon.ready.grpc), options);

async function openWindow() {
  const leaving = new AbortController();
  const events = daemon.openPairing({}, leaving.signal)[Symbol.asyncIterator]();
  const { value } = await events.next();
  if (value?.kind !== "opened" || value.code === undefined) throw new Error("the window did not open");
  const { uri, code } = value;
  return {
    ...{ code, wrongCode: code === "000000" ? "000001" : "000000" },
    uriAt: (address: string) => formatPairingUri({ ...parsePairingUri(uri), address }),
    next: async (): Promise<PairingDoorEvent["kind"] | undefined> => (await events.next()).value?.kind,
    close: async (): Promise<void> => {
      leaving.abort();
      await events.next().catch(() => undefined);
    },
  };
}

const joining = (target: string, more: Partial<JoinOptions> = {}) =>
  joinGatehouse({
    ...{ home: join(dir, "phone"), target, name: "phone", kind: "test", platform: "test" },
    ...more,
  });

const failureOf = async (work: Promise<unknown>): Promise<string> =>
  await work.then(
    () => "none",
    (failure: unknown) => (isGatehouseError(failure) ? failure.code : String(failure)),
  );

async function devices(): Promise<number> {
  await using owner = await connect({ home: join(dir, "hall") });
  return (await owner.call(METHODS.Device.List, {})).devices.length;
}

/** A UDP port that swallows everything. */
async function swallowing(port: number): Promise<Socket> {
  const socket = createSocket("udp4").bind(port, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}

/** A UDP relay at `port` that takes its time each way. */
async function delaying(port: number, targetPort: number, delayMs: number): Promise<AsyncDisposable> {
  const front = await swallowing(port);
  const backs = new Map<number, Socket>();
  let isClosed = false;
  const later = (run: () => void): void => void setTimeout(() => isClosed || run(), delayMs);
  front.on("message", (datagram, from) => {
    const back = backs.get(from.port) ?? createSocket("udp4");
    if (!backs.has(from.port)) {
      backs.set(from.port, back);
      back.on("message", (answer) => later(() => front.send(answer, from.port, from.address)));
    }
    later(() => back.send(datagram, targetPort, "127.0.0.1"));
  });
  return {
    [Symbol.asyncDispose]: async () => {
      isClosed = true;
      for (const socket of [front, ...backs.values()]) socket.close();
    },
  };
}

/** Of UDP, so that either wire is first, or both are at once. */
const DELAYS_MS = isLong ? [0, 80, 115, 120, 125, 130, 140, 600] : [0, 125, 600];

describe("joining where nothing listens on UDP", () => {
  it("goes over TCP, by code and by URI, and what came of it is stored", async () => {
    await using relay = await relayTo();
    const first = await openWindow();
    const joined = await joining(relay.address, { code: first.code });
    expect(joined).toMatchObject({ gatehouse: { name: "hall" }, device: { name: "phone", role: "member" } });
    expect(await first.next()).toBe("paired");
    expect(await Remotes.of(join(dir, "phone")).resolve("hall")).toMatchObject({ address: relay.address });
    const second = await openWindow();
    const again = await joining(second.uriAt(relay.address), { home: join(dir, "other"), name: "other" });
    expect(again.gatehouse.deviceId).toBe(daemon.ready.deviceId);
    expect(relay.connections).toBe(2);
    expect(await devices()).toBe(3);
  });

  it("burns the code when it is wrong, and tries it once", async () => {
    await using relay = await relayTo();
    const { wrongCode, next } = await openWindow();
    expect(await failureOf(joining(relay.address, { code: wrongCode }))).toBe("pairing.wrong-code");
    expect(await next()).toBe("burnt");
    expect(relay.connections).toBe(1);
    expect(await Remotes.of(join(dir, "phone")).list()).toEqual([]);
  });

  it("waits for somebody's yes, and says so", async () => {
    await using relay = await relayTo();
    await using owner = await connect({ home: join(dir, "hall") });
    const events = owner.stream(METHODS.Pairing.Open, { requireApproval: true });
    const code = (await events.next()).value?.opened?.code ?? "";
    const pending = new Promise<number>((resolve) => {
      void joining(relay.address, { code, onPending: resolve }).then(() => resolve(0));
    });
    expect(await pending).toBeGreaterThan(0);
    const asked = (await events.next()).value?.asked;
    await owner.call(METHODS.Pairing.Decide, { device: asked?.deviceId ?? "", approve: true });
    expect((await events.next()).value?.paired).toMatchObject({ name: "phone" });
  });

  it("says that no window is open when there is none", async () => {
    await using relay = await relayTo();
    expect(await failureOf(joining(relay.address, { code: "123456" }))).toBe("pairing.closed");
    expect(relay.connections).toBe(1);
  });

  it("pairs one device, once, wherever the link breaks", async () => {
    const outcomes: string[] = [];
    let isWhole = false;
    for (let cutBefore = 1; !isWhole; cutBefore += 1) {
      expect(cutBefore).toBeLessThan(20);
      await using relay = await relayTo({ cuts: 1, cutBefore });
      const { code, next, close } = await openWindow();
      const home = join(dir, `phone-${cutBefore}`);
      const before = await devices();
      const outcome = await failureOf(joining(relay.address, { code, home, name: `phone ${cutBefore}` }));
      outcomes.push(outcome);
      isWhole = relay.connections === 1 && outcome === "none";
      const isIn = outcome === "none";
      const ended = isIn ? await next() : undefined;
      const added = isIn ? 1 : 0;
      const known = (await Remotes.of(home).list()).length;
      expect({ cutBefore, ended, known, devices: await devices() }).toEqual({
        ...{ cutBefore, known: added, devices: before + added },
        ended: isIn ? "paired" : undefined,
      });
      await close();
    }
    // In the handshake; then it is tried again, but not where a proof got no answer; and at last nothing is left to cut.
    expect(outcomes.filter((outcome) => outcome === "none").length).toBeGreaterThan(3);
    expect(outcomes.filter((outcome) => outcome === "quic.closed")).toHaveLength(1);
  });
});

describe("joining where UDP gets no answer", () => {
  it("goes over TCP before QUIC has given up", async () => {
    await using relay = await relayTo();
    const silence = await swallowing(relay.port);
    const { code } = await openWindow();
    const joined = await joining(relay.address, { code, timeoutMs: 8_000 });
    expect(joined.device.name).toBe("phone");
    silence.close();
  });

  it("says what the gatehouse says over TCP, that no window is open", async () => {
    await using relay = await relayTo();
    const silence = await swallowing(relay.port);
    expect(await failureOf(joining(relay.address, { code: "123456", timeoutMs: 1_000 }))).toBe(
      "pairing.closed",
    );
    silence.close();
  });

  it("gives up in its time when TCP gives none either", async () => {
    const silence = await swallowing(0);
    const target = `127.0.0.1:${silence.address().port}`;
    expect(await failureOf(joining(target, { code: "123456", timeoutMs: 600 }))).toBe("quic.timed-out");
    silence.close();
  });
});

describe("joining where both wires get through", () => {
  it("says nothing on one of them, whichever is the first to stand", async () => {
    const own = await Newcomer.make();
    const face = { identity: own.tlsIdentity, caPem: own.tlsIdentity.certificatePem, ...effects };
    const anywhere = [{ host: "127.0.0.1", port: 0 }];
    const streams = { quic: 0, tcp: 0 };
    const accept =
      (wire: keyof typeof streams) =>
      (connection: { onStream(take: (stream: unknown) => void): void }): void =>
        connection.onStream(() => (streams[wire] += 1));
    await using tcp = await GrpcServer.listen<string>({
      ...{ ...face, listen: anywhere },
      admit: () => ({ kind: "admitted" }),
      admitPairing: () => ({ kind: "admitted", accept: accept("tcp") }),
      closing: (_cause, reason) => new GatehouseError("rpc.draining", reason),
    });
    await using quic = await QuicServer.listen({
      ...{ ...face, listen: anywhere, alpn: "gatehouse/1" },
      admit: () => ({ kind: "admitted", accept: accept("quic") }),
    });
    tcp.openPairing(PAIRING_ALPN);
    quic.openPairing(PAIRING_ALPN);
    const [address] = tcp.addresses;
    for (const delayMs of DELAYS_MS) {
      await using _relay = await delaying(address?.port ?? 0, quic.address.port, delayMs);
      const all = () => streams.quic + streams.tcp;
      const before = all();
      const leaving = new AbortController();
      const joined = joining(`127.0.0.1:${address?.port}`, { code: "123456", signal: leaving.signal });
      const failed = failureOf(joined);
      while (all() === before) await new Promise((resolve) => setTimeout(resolve, 5));
      // As long as the other could take for a word.
      await new Promise((resolve) => setTimeout(resolve, 2 * delayMs + 100));
      expect({ delayMs, streams: all() - before }).toEqual({ delayMs, streams: 1 });
      leaving.abort();
      expect(await failed).toBe("rpc.cancelled");
    }
    // Each was first at least once.
    expect(Math.min(streams.quic, streams.tcp)).toBeGreaterThan(0);
  });

  it("takes QUIC, which is there first", async () => {
    const { code } = await openWindow();
    await joining(daemon.ready.quic, { code });
    await using owner = await connect({ home: join(dir, "hall") });
    const { counters } = await owner.call(METHODS.Health.Status, {});
    expect(counters.find(({ name }) => name === "grpcAccepted")?.value).toBe(0);
  });
});

describe("a gatehouse whose QUIC door says that no window is open", () => {
  it("is believed, whatever TCP's does not say", async () => {
    const mute = createServer().listen(0, "127.0.0.1");
    await once(mute, "listening");
    const bound = mute.address();
    const port = bound === null || typeof bound === "string" ? 0 : bound.port;
    await using _relay = await delaying(port, portOf(daemon.ready.quic), 0);
    // Nobody's patience ends: only what is said does.
    const clock: Clock = {
      ...systemClock,
      setTimer: (delayMs, run) =>
        delayMs < 1_000 ? systemClock.setTimer(delayMs, run) : { [Symbol.dispose]: () => undefined },
    };
    const joined = joining(`127.0.0.1:${port}`, { code: "123456", clock });
    expect(await failureOf(joined)).toBe("pairing.closed");
    mute.close();
  });
});

describe("a man in the middle of TCP", () => {
  it.each(["tcp", "quic"] as const)("who goes on over %s is found out by the joiner itself", async (far) => {
    const { code, next } = await openWindow();
    const [host, port] = ["127.0.0.1", portOf(far === "tcp" ? daemon.ready.grpc : daemon.ready.quic)];
    await using middle = await Middle.open({ host, port }, { near: "tcp", far });
    expect(await failureOf(joining(middle.address, { code }))).toBe("pairing.wrong-code");
    expect(await next()).toBe("burnt");
    expect(await devices()).toBe(1);
    expect(await Remotes.of(join(dir, "phone")).list()).toEqual([]);
  });
});
