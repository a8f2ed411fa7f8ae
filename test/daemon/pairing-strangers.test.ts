import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Client, connect, joinGatehouse, METHODS } from "../../src/client/index.ts";
import {
  type Clock,
  isGatehouseError,
  LIMITS,
  silentLogger,
  systemClock,
  systemRandom,
  unixMs,
} from "../../src/core/index.ts";
import { Daemon, type PairingDoorEvent } from "../../src/daemon/index.ts";
import { formatPairingUri, type PairingSecret, parsePairingUri } from "../../src/pairing/index.ts";
import { Newcomer } from "../support/pairing-dial.ts";
import { RawQuicClient } from "../support/raw-quic-client.ts";
import { TlsFixtures } from "../support/tls-fixtures.ts";

const PLACES = 32;
/** Deadlines come twenty times sooner. */
const hasty: Clock = {
  ...systemClock,
  setTimer: (delayMs, run) => systemClock.setTimer(delayMs / 20, run),
};

let dir: string;
let fixtures: TlsFixtures;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "gatehouse-strangers-"));
  fixtures = new TlsFixtures();
});
afterEach(() => {
  fixtures[Symbol.dispose]();
  rmSync(dir, { recursive: true, force: true });
});

function serve(clock: Clock = systemClock): Promise<Daemon> {
  return Daemon.start({
    ...{ home: join(dir, "a"), keyDir: join(dir, "keys"), version: "0.0.0", pid: 1 },
    ...{ init: { name: "kitchen" }, listen: [{ host: "127.0.0.1", port: 0 }] },
    ...{ clock, random: systemRandom, logger: silentLogger },
  });
}

async function openWindow(daemon: Daemon, options: { ttlMs?: number } = {}) {
  const events = daemon.openPairing(options, new AbortController().signal)[Symbol.asyncIterator]();
  const { value } = await events.next();
  if (value?.kind !== "opened" || value.code === undefined) throw new Error("no window");
  const next = async (): Promise<PairingDoorEvent | undefined> => (await events.next()).value ?? undefined;
  return { code: value.code, uri: value.uri, next };
}

const addressOf = ({ ready }: Daemon) => {
  const [host = "", port = ""] = ready.quic.split(":");
  return { host, port: Number(port) };
};

const joining = (name: string, target: string, code?: string) => ({
  ...{ home: join(dir, name), target, code, name, kind: "test", platform: "test" },
});

const failureOf = async (work: Promise<unknown>): Promise<string> =>
  await work.then(
    () => "none",
    (failure: unknown) => (isGatehouseError(failure) ? failure.code : String(failure)),
  );

describe("strangers at a pairing window", () => {
  it("who say nothing are sent away, and the one who was meant gets in", async () => {
    await using daemon = await serve(hasty);
    const { code, next } = await openWindow(daemon, { ttlMs: 600_000 });
    const strangers = await silentStrangers(daemon, PLACES);
    await Promise.all(
      strangers.map((stranger) => stranger.until(() => stranger.connection.peerError() !== null)),
    );
    await joinGatehouse(joining("phone", daemon.ready.quic, code));
    expect(await next()).toMatchObject({ kind: "paired", device: { name: "phone" } });
    for (const stranger of strangers) stranger[Symbol.dispose]();
  });

  it("who fill the room push out their own, and keep nobody waiting", async () => {
    await using daemon = await serve();
    const { code, next } = await openWindow(daemon);
    const strangers = await silentStrangers(daemon, PLACES + 4);
    await joinGatehouse(joining("phone", daemon.ready.quic, code));
    expect(await next()).toMatchObject({ kind: "paired", device: { name: "phone" } });
    for (const stranger of strangers) stranger[Symbol.dispose]();
  });

  it("who guess at URIs keep out nobody who has the right one", async () => {
    await using daemon = await serve();
    const { uri, next } = await openWindow(daemon);
    const { gatehouseId, secret } = parsePairingUri(uri);
    const wrong = formatPairingUri({ ...parsePairingUri(uri), secret: new Uint8Array(secret.length) });
    const silent = await silentStrangers(daemon, LIMITS.pairingUnprovenAttempts);
    const hostile = await Promise.all(Array.from({ length: 24 }, () => Newcomer.make()));
    const guesses = hostile.flatMap((newcomer) => [
      newcomer.dial({
        address: addressOf(daemon),
        secret: { mode: "uri", secret: new Uint8Array(16), gatehouseId },
      }),
    ]);
    const joined = joinGatehouse(joining("phone", uri));
    const verdicts = await Promise.all(
      guesses.map(async (dialling) => {
        await using dialled = await dialling;
        return await failureOf(dialled.joined);
      }),
    );
    expect((await joined).device.name).toBe("phone");
    expect(await next()).toMatchObject({ kind: "paired", device: { name: "phone" } });
    expect(verdicts).not.toContain("none");
    expect(await failureOf(joinGatehouse(joining("late", wrong)))).not.toBe("none");
    for (const stranger of silent) stranger[Symbol.dispose]();
  });

  /** They get through TLS, and say no word of pairing. */
  async function silentStrangers(daemon: Daemon, count: number): Promise<readonly RawQuicClient[]> {
    const identity = fixtures.selfSigned("stranger");
    const options = { remote: addressOf(daemon), identity, alpn: "gatehouse-pair/1" };
    const strangers = await Promise.all(
      Array.from({ length: count }, async () => await RawQuicClient.open(options)),
    );
    await Promise.all(strangers.map((stranger) => stranger.until(() => stranger.connection.isEstablished())));
    return strangers;
  }
});

describe("windows one after another", () => {
  it("open at once while the last joiner has yet to fetch its grant, and it still gets that one", async () => {
    await using daemon = await serve();
    const address = addressOf(daemon);
    const first = await openWindow(daemon);
    const secret: PairingSecret = { mode: "code", code: first.code };
    const alice = await Newcomer.make();
    const lost = await unacknowledged(alice, address, secret);
    expect(await first.next()).toMatchObject({ kind: "paired" });

    const second = await openWindow(daemon);
    await joinGatehouse(joining("phone", daemon.ready.quic, second.code));
    expect(await second.next()).toMatchObject({ kind: "paired", device: { name: "phone" } });

    await using again = await alice.dial({ address, secret });
    const { result, acknowledge } = await again.joined;
    expect(result.certificate).toEqual(lost.certificate);
    await acknowledge();
    expect(await failureOf(alice.dial({ address, secret }))).toBe("quic.not-admitted");
  });

  it("let a joiner whose last grant is still waiting pair anew with the new code", async () => {
    await using daemon = await serve();
    const address = addressOf(daemon);
    const alice = await Newcomer.make();
    const first = await openWindow(daemon);
    await unacknowledged(alice, address, { mode: "code", code: first.code });
    const second = await openWindow(daemon);
    const secret: PairingSecret = { mode: "code", code: second.code };
    await using astray = await alice.dial({ address, secret });
    expect(await failureOf(astray.joined)).toBe("pairing.wrong-code");
    await using again = await alice.dial({ address, secret });
    expect((await again.joined).result.deviceId).toBe(alice.identity.id);
  });

  it("are kept for those who come back in a bounded number, the oldest go first", async () => {
    await using daemon = await serve();
    const address = addressOf(daemon);
    const left: { readonly newcomer: Newcomer; readonly secret: PairingSecret }[] = [];
    for (let count = 0; count <= LIMITS.pairingWindowsAside + 1; count += 1) {
      const { code } = await openWindow(daemon);
      const one = { newcomer: await Newcomer.make(), secret: { mode: "code", code } as const };
      await unacknowledged(one.newcomer, address, one.secret, `device ${count}`);
      left.push(one);
    }
    const verdicts: string[] = [];
    for (const [index, { newcomer, secret }] of left.entries()) {
      await using dialled = await newcomer.dial({
        ...{ address, secret },
        asInitiator: { name: `device ${index}` },
      });
      verdicts.push(await failureOf(dialled.joined));
    }
    expect(verdicts).toEqual(["pairing.closed", ...Array(LIMITS.pairingWindowsAside + 1).fill("none")]);
  });

  /** Pairs, and is gone before it could say that it has its grant. */
  async function unacknowledged(
    newcomer: Newcomer,
    address: { host: string; port: number },
    secret: PairingSecret,
    name = "newcomer",
  ) {
    await using dialled = await newcomer.dial({ address, secret, asInitiator: { name } });
    return (await dialled.joined).result;
  }
});

describe("whoever is asked about a joiner", () => {
  it("sees who it is and from where, says yes by the first characters of its id, and it is in", async () => {
    await using daemon = await serve();
    await using owner = await connect({ home: join(dir, "a") });
    const { events, opened } = await openAsking(owner);
    const alice = await Newcomer.make();
    await using dialled = await alice.dial({
      address: addressOf(daemon),
      secret: { mode: "code", code: opened.code },
    });
    expect(await dialled.pending).toBeLessThanOrEqual(LIMITS.pairingApprovalMs);
    const said = {
      ...{ deviceId: alice.identity.id, name: "newcomer", kind: "test", platform: "test" },
      ...{ role: "member", replaces: "", remoteAddress: "127.0.0.1" },
    };
    expect((await events.next()).value?.asked).toMatchObject(said);
    const { joiners } = await owner.call(METHODS.Pairing.Waiting, {});
    expect(joiners).toMatchObject([said]);
    const device = alice.identity.id.slice(0, 8).toUpperCase();
    expect((await owner.call(METHODS.Pairing.Decide, { device, approve: true })).joiner).toMatchObject(said);
    expect((await dialled.joined).result.deviceId).toBe(alice.identity.id);
    expect((await events.next()).value?.paired).toMatchObject({ deviceId: alice.identity.id });
    const again = owner.call(METHODS.Pairing.Decide, { device, approve: true });
    expect(await failureOf(again)).toBe("pairing.not-waiting");
  });

  it("says no, and both hear of it", async () => {
    await using daemon = await serve();
    await using owner = await connect({ home: join(dir, "a") });
    const { events, opened } = await openAsking(owner);
    const alice = await Newcomer.make();
    const secret: PairingSecret = { mode: "code", code: opened.code };
    await using dialled = await alice.dial({ address: addressOf(daemon), secret });
    await dialled.pending;
    await owner.call(METHODS.Pairing.Decide, { device: alice.identity.id, approve: false });
    expect(await failureOf(dialled.joined)).toBe("pairing.denied");
    await events.next();
    expect((await events.next()).value?.denied).toMatchObject({ deviceId: alice.identity.id });
    expect((await events.next()).done).toBe(true);
  });

  it("goes away, and the joiner is told that the window has closed", async () => {
    await using daemon = await serve();
    await using owner = await connect({ home: join(dir, "a") });
    const { events, opened } = await openAsking(owner);
    const alice = await Newcomer.make();
    const secret: PairingSecret = { mode: "code", code: opened.code };
    await using dialled = await alice.dial({ address: addressOf(daemon), secret });
    await dialled.pending;
    await events.return?.();
    expect(await failureOf(dialled.joined)).toBe("pairing.closed");
    expect((await owner.call(METHODS.Pairing.Waiting, {})).joiners).toEqual([]);
  });

  it("has a device replaced that lost its identity, and only with a yes", async () => {
    await using daemon = await serve();
    await using owner = await connect({ home: join(dir, "a") });
    const address = addressOf(daemon);
    const old = await Newcomer.make();
    const first = await openWindow(daemon);
    await using paired = await old.dial({ address, secret: { mode: "code", code: first.code } });
    await (await paired.joined).acknowledge();

    const second = await openWindow(daemon);
    const secret: PairingSecret = { mode: "code", code: second.code };
    const reborn = await Newcomer.make();
    await using refused = await reborn.dial({ address, secret });
    expect(await failureOf(refused.joined)).toBe("device.name-taken");
    await using dialled = await reborn.dial({ address, secret, asInitiator: { replace: true } });
    await dialled.pending;
    expect(await second.next()).toMatchObject({ kind: "asked", joiner: { replaces: old.identity.id } });
    await owner.call(METHODS.Pairing.Decide, { device: reborn.identity.id, approve: true });
    await (await dialled.joined).acknowledge();
    const { devices } = await owner.call(METHODS.Device.List, {});
    const stateOf = ({ identity }: Newcomer) => devices.find(({ id }) => id === identity.id)?.state;
    expect(stateOf(reborn)).toBe("active");
    expect(stateOf(old)).toBe("revoked");
  });

  async function openAsking(owner: Client) {
    const events = owner.stream(METHODS.Pairing.Open, { requireApproval: true });
    const { value } = await events.next();
    if (value?.opened === undefined || value.opened === null) throw new Error("no window");
    return { events, opened: { code: value.opened.code ?? "", uri: value.opened.uri ?? "" } };
  }
});

describe("the pause after too many wrong codes", () => {
  const DAY_MS = 86_400_000;

  it("is over only when its time has passed, whatever happens to the clock or the daemon", async () => {
    let offsetMs = 0;
    const stepped: Clock = { ...systemClock, now: () => unixMs(systemClock.now() + offsetMs) };
    const isPaused = async (daemon: Daemon): Promise<string> => await failureOf(openAndClose(daemon));
    await using first = await serve(stepped);
    for (let burnt = 0; burnt < LIMITS.burntCodes; burnt += 1) {
      const { code, next } = await openWindow(first);
      const wrong = code === "000000" ? "000001" : "000000";
      expect(await failureOf(joinGatehouse(joining("guesser", first.ready.quic, wrong)))).toBe(
        "pairing.wrong-code",
      );
      expect(await next()).toEqual({ kind: "burnt" });
    }
    expect(await isPaused(first)).toBe("pairing.paused");
    for (offsetMs of [-DAY_MS, DAY_MS]) expect(await isPaused(first)).toBe("pairing.paused");
    await first[Symbol.asyncDispose]();

    for (offsetMs of [0, -DAY_MS, LIMITS.burntCodesPauseMs - 60_000]) {
      await using again = await serve(stepped);
      expect(await isPaused(again), `restarted ${offsetMs} ms later`).toBe("pairing.paused");
    }
    offsetMs = LIMITS.burntCodesPauseMs;
    await using last = await serve(stepped);
    expect(await isPaused(last)).toBe("none");
  });

  async function openAndClose(daemon: Daemon): Promise<void> {
    const leaving = new AbortController();
    const events = daemon.openPairing({}, leaving.signal)[Symbol.asyncIterator]();
    await events.next();
    leaving.abort();
    await events.next().catch(() => undefined);
  }
});
