import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect, joinGatehouse, METHODS, Remotes } from "../../src/client/index.ts";
import { GatehouseError, silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { Daemon, type DaemonOptions, initHome, type PairingDoorEvent } from "../../src/daemon/index.ts";
import { times } from "../support/effort.ts";

const effects = { clock: systemClock, random: systemRandom, logger: silentLogger };
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "gatehouse-daemon-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const home = (name: string): string => join(dir, name);
const options = (overrides: Partial<DaemonOptions> = {}): DaemonOptions => ({
  ...{ home: home("a"), keyDir: join(dir, "keys"), version: "0.0.0", pid: 1, ...effects },
  listen: [{ host: "127.0.0.1", port: 0 }],
  init: { name: "kitchen" },
  ...overrides,
});
const making = (name: string) => ({ home: home("a"), keyDir: join(dir, "keys"), name, ...effects });
const existing = (): DaemonOptions => {
  const { init: _init, ...rest } = options();
  return rest;
};
const code = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "no failure",
    (error: unknown) => (error instanceof GatehouseError ? error.code : String(error)),
  );

async function opened(
  events: AsyncIterator<PairingDoorEvent>,
): Promise<PairingDoorEvent & { kind: "opened" }> {
  const { value } = await events.next();
  if (value?.kind !== "opened") throw new Error("the window did not open");
  return value;
}

/** Pairs the home `name` with `daemon` by code. */
async function pair(daemon: Daemon, name: string, role = "member"): Promise<void> {
  const events = daemon.openPairing({ role }, new AbortController().signal)[Symbol.asyncIterator]();
  const { code: pairingCode } = await opened(events);
  const target = daemon.ready.quic;
  await joinGatehouse({ home: home(name), target, code: pairingCode, name, kind: "test", platform: "test" });
  expect((await events.next()).value).toMatchObject({ kind: "paired", device: { name, role } });
  expect((await events.next()).done).toBe(true);
}

/** One `Ping` from the home `name`, wherever the daemon listens by now. */
async function pinged(name: string, { ready }: Daemon): Promise<void> {
  await Remotes.of(home(name)).set("kitchen", { address: ready.quic });
  await using device = await connect({ home: home(name) });
  await device.call(METHODS.Health.Ping, {});
}

describe("a home", () => {
  it("is initialized once, and only then can be served", async () => {
    expect(await code(Daemon.start(existing()))).toBe("home.not-initialized");
    const made = await initHome(making("kitchen"));
    expect(await code(initHome(making("again")))).toBe("home.already-initialized");
    await using daemon = await Daemon.start(existing());
    expect(daemon.ready).toMatchObject(made);
  });

  it("has one daemon at a time; a start that failed leaves nothing locked", async () => {
    await using first = await Daemon.start(options());
    expect(await code(Daemon.start(options()))).toBe("home.in-use");
    await first[Symbol.asyncDispose]();
    const taken = await Daemon.start(options({ home: home("other") }));
    const [host = "", port = ""] = taken.ready.quic.split(":");
    const clash = options({ listen: [{ host, port: Number(port) }] });
    expect(await code(Daemon.start(clash))).toBe("quic.address-in-use");
    await using again = await Daemon.start(options());
    expect(again.ready.deviceId).toBe(first.ready.deviceId);
    await taken[Symbol.asyncDispose]();
  });

  it("keeps its keys elsewhere, one for the identity and one for the vault, and opens without neither", async () => {
    await (await Daemon.start(options()))[Symbol.asyncDispose]();
    const keys = readdirSync(join(dir, "keys")).filter((name) => name.endsWith(".kek"));
    expect(keys).toHaveLength(2);
    const codes: unknown[] = [];
    for (const name of keys) {
      renameSync(join(dir, "keys", name), join(dir, name));
      codes.push(await code(Daemon.start(existing())));
      renameSync(join(dir, name), join(dir, "keys", name));
    }
    expect(new Set(codes)).toEqual(new Set(["key.missing", "vault.key-missing"]));
    await (await Daemon.start(existing()))[Symbol.asyncDispose]();
  });

  it.each([
    ["boot", "boot.damaged"],
    ["identity/identity.key", "identity.damaged"],
    ["ca/generation-1", "ca.damaged"],
  ])("refuses a flipped bit anywhere in %s, naming the file", async (file, expected) => {
    await (await Daemon.start(options()))[Symbol.asyncDispose]();
    const path = join(home("a"), file);
    const whole = readFileSync(path);
    for (let offset = 0; offset < whole.length; offset += times({ short: 31, long: 7 })) {
      const flipped = Buffer.from(whole);
      flipped[offset] = (flipped[offset] ?? 0) ^ 0x10;
      writeFileSync(path, flipped);
      const failure: unknown = await Daemon.start(existing()).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code: expected });
      expect(String(failure)).toContain(file.split("/").at(-1));
    }
    writeFileSync(path, whole);
    await using daemon = await Daemon.start(existing());
    expect(daemon.ready.name).toBe("kitchen");
  });

  it("tells its own command line where the daemon is, as long as it is there", async () => {
    const daemon = await Daemon.start(options());
    await using owner = await connect({ home: home("a") });
    expect((await owner.call(METHODS.Health.Status, {})).name).toBe("kitchen");
    await daemon[Symbol.asyncDispose]();
    expect(existsSync(join(home("a"), "endpoint.json"))).toBe(false);
    expect(await code(connect({ home: home("a") }))).toBe("quic.unreachable");
  });
});

describe("a wildcard address", () => {
  it("is told as one that can be dialled, and the own command line gets in by loopback", async () => {
    await using daemon = await Daemon.start(options({ listen: [{ host: "0.0.0.0", port: 0 }] }));
    expect(daemon.ready.quic).not.toContain("0.0.0.0");
    await using owner = await connect({ home: home("a") });
    expect(owner.remote.address).toMatch(/^127\.0\.0\.1:/);
    expect((await owner.call(METHODS.Health.Status, {})).quic).toBe(daemon.ready.quic);
  });
});

describe("revocation", () => {
  it("ends live connections and open streams at once, and is remembered over a restart", async () => {
    const daemon = await Daemon.start(options());
    await pair(daemon, "b", "owner");
    await using device = await connect({ home: home("b") });
    const window = device.stream(METHODS.Pairing.Open, {});
    expect((await window.next()).value?.opened).toBeDefined();
    const cut = code(window.next());
    await using owner = await connect({ home: home("a") });
    await owner.call(METHODS.Device.Revoke, { device: "b" });
    expect(await cut).toBe("device.revoked");
    expect(await code(device.call(METHODS.Health.Ping, {}))).toBe("device.revoked");
    await daemon[Symbol.asyncDispose]();
    await using again = await Daemon.start(existing());
    expect(await code(pinged("b", again))).toBe("device.revoked");
  });

  it("spares the last owner", async () => {
    await using _daemon = await Daemon.start(options());
    await using owner = await connect({ home: home("a") });
    expect(await code(owner.call(METHODS.Device.Revoke, { device: "kitchen" }))).toBe("device.last-owner");
    expect((await owner.call(METHODS.Health.Ping, {})).payload).toHaveLength(0);
  });
});

describe("the pairing window", () => {
  it("is one at a time, closes when its opener leaves, and then nobody gets in", async () => {
    await using daemon = await Daemon.start(options());
    const leaving = new AbortController();
    const events = daemon.openPairing({}, leaving.signal)[Symbol.asyncIterator]();
    const { code: pairingCode, uri } = await opened(events);
    const second = daemon.openPairing({}, new AbortController().signal)[Symbol.asyncIterator]();
    expect(await code(second.next())).toBe("pairing.window-open");
    leaving.abort(new GatehouseError("rpc.cancelled", "left"));
    expect(await code(events.next())).toBe("rpc.cancelled");
    const joiner = { home: home("c"), name: "c", kind: "test", platform: "test" };
    expect(await code(joinGatehouse({ ...joiner, target: daemon.ready.quic, code: pairingCode }))).toBe(
      "pairing.closed",
    );
    expect(await code(joinGatehouse({ ...joiner, target: uri }))).toBe("pairing.closed");
    await pair(daemon, "d");
  });

  it("burns the code on a wrong guess: the right one fails too, and the opener is told", async () => {
    await using daemon = await Daemon.start(options());
    const events = daemon.openPairing({}, new AbortController().signal)[Symbol.asyncIterator]();
    const { code: right = "" } = await opened(events);
    const wrong = right === "000000" ? "111111" : "000000";
    const joiner = { home: home("c"), target: daemon.ready.quic, name: "c", kind: "test", platform: "test" };
    expect(await code(joinGatehouse({ ...joiner, code: wrong }))).toBe("pairing.wrong-code");
    expect((await events.next()).value).toEqual({ kind: "burnt" });
    expect(await code(joinGatehouse({ ...joiner, code: right }))).toBe("pairing.closed");
  });

  it("lets a device in by URI", async () => {
    await using daemon = await Daemon.start(options());
    const events = daemon.openPairing({}, new AbortController().signal)[Symbol.asyncIterator]();
    const { uri } = await opened(events);
    const joiner = { home: home("c"), name: "c", kind: "test", platform: "test" };
    const joined = await joinGatehouse({ ...joiner, target: uri });
    expect(joined.gatehouse).toEqual({ name: "kitchen", deviceId: daemon.ready.deviceId });
    await using device = await connect({ home: home("c") });
    expect((await device.call(METHODS.Health.Status, {})).devices).toBe(2);
  });
});
