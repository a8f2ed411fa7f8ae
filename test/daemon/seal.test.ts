import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect, joinGatehouse, METHODS } from "../../src/client/index.ts";
import { GatehouseError, Resources, silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { Daemon, type DaemonOptions, initHome } from "../../src/daemon/index.ts";
import { openStorage } from "../../src/daemon/storage.ts";
import { homeLayout } from "../../src/files/index.ts";
import { generateRecoveryKey, passphraseProvider } from "../../src/keystore/index.ts";
import { times } from "../support/effort.ts";

const { Health, Seal, Vault } = METHODS;
const effects = { clock: systemClock, random: systemRandom, logger: silentLogger };
const PASSPHRASE = new TextEncoder().encode("correct horse battery staple");

let dir: string;
let keyDir: string;
let home: string;
let resources: Resources;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "gatehouse-seal-"));
  [keyDir, home] = [join(dir, "keys"), join(dir, "a")];
  resources = new Resources();
});
afterEach(async () => {
  await resources[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

async function start(overrides: Partial<DaemonOptions> = {}): Promise<Daemon> {
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const options = { home, keyDir, version: "0.0.0", pid: 1, listen, init: { name: "kitchen" } };
  return resources.use(await Daemon.start({ ...options, ...effects, ...overrides }));
}

const code = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "no failure",
    (error: unknown) => (error instanceof GatehouseError ? error.code : String(error)),
  );

async function pair(daemon: Daemon, name: string): Promise<void> {
  const events = daemon.openPairing({ role: "member" }, new AbortController().signal)[Symbol.asyncIterator]();
  const { value } = await events.next();
  if (value?.kind !== "opened" || value.code === undefined) throw new Error("the window did not open");
  const joining = { home: join(dir, name), target: daemon.ready.quic, code: value.code, name };
  await joinGatehouse({ ...joining, kind: "test", platform: "test" });
}

/** Connecting with a ticket proves nothing yet. */
async function pinged(name: string): Promise<void> {
  await using device = await connect({ home: join(dir, name) });
  await device.call(Health.Ping, {});
}

/** The state that the owner is told, once it is `wanted`. */
async function untilState(wanted: string): Promise<void> {
  for (;;) {
    try {
      await using owner = await connect({ home });
      if ((await owner.call(Health.Status, {})).state === wanted) return;
    } catch (failure) {
      if (!(failure instanceof GatehouseError && failure.isRetryable)) throw failure;
    }
  }
}

async function seal(): Promise<void> {
  await using owner = await connect({ home });
  await owner.call(Seal.Seal, {});
  await untilState("sealed");
}

async function unseal(passphrase = new Uint8Array()): Promise<string> {
  await using owner = await connect({ home });
  return (await owner.call(Seal.Unseal, { passphrase })).state;
}

async function audited(): Promise<readonly string[]> {
  await using storage = new Resources();
  const { audit } = await openStorage(homeLayout(home), { keyDir, mode: "open" }, effects, storage);
  const lines: string[] = [];
  for await (const { event } of audit.records()) {
    if (event.action.startsWith("vault:"))
      lines.push(`${event.action} ${event.outcome} ${event.code}`.trim());
  }
  return lines;
}

/** Of a file of some hundred bytes; each look at a damaged one starts a gatehouse. */
const STEP = times({ short: 67, long: 7 });

describe("a sealed gatehouse", () => {
  it("answers Health and Unseal to its owner, and of everything else that it is sealed", async () => {
    await start();
    await seal();
    await using owner = await connect({ home });
    expect(await owner.call(Health.Status, {})).toMatchObject({ state: "sealed", keyKinds: ["key-file"] });
    const own = ["gatehouse.v1.Health", "gatehouse.v1.Seal", "grpc.health.v1.Health"];
    expect((await owner.call(Health.Info, {})).services).toEqual(own);
    await owner.call(Health.Ping, {});
    expect(await code(owner.call(Vault.Get, { path: "shared/a" }))).toBe("vault.sealed");
    expect(await code(owner.call(Seal.Seal, {}))).toBe("vault.sealed");
  });

  it("lets no other device in, tells it why, and knows it again when it is open", async () => {
    const daemon = await start();
    await pair(daemon, "phone");
    const phone = resources.use(await connect({ home: join(dir, "phone") }));
    await phone.call(Health.Ping, {});
    await seal();
    expect(await code(phone.call(Health.Ping, {}))).toBe("vault.sealed");
    expect(await code(pinged("phone"))).toBe("vault.sealed");
    expect(await unseal()).toBe("serving");
    await pinged("phone");
  });

  it("has closed its pairing window, and opens none", async () => {
    const daemon = await start();
    const events = daemon.openPairing({}, new AbortController().signal)[Symbol.asyncIterator]();
    await events.next();
    const closed = events.next();
    await seal();
    expect(await closed).toMatchObject({ done: true });
    expect(() => daemon.openPairing({}, new AbortController().signal)).toThrow("the vault is sealed");
  });

  it("is sealed by its owner alone, and both seals and unseals are in the audit log", async () => {
    const daemon = await start();
    await pair(daemon, "phone");
    await using phone = await connect({ home: join(dir, "phone") });
    expect(await code(phone.call(Seal.Seal, {}))).toBe("authz.denied");
    await seal();
    await unseal();
    await daemon[Symbol.asyncDispose]();
    expect(await audited()).toEqual([
      "vault:seal denied authz.denied",
      "vault:seal allowed",
      "vault:unseal done",
    ]);
  });

  it("stays sealed when its vault is damaged, says so, and opens when that is mended", async () => {
    await start();
    await seal();
    const vaultDir = homeLayout(home).vaultDir;
    const name =
      readdirSync(vaultDir).find((file) => file.includes("header")) ?? readdirSync(vaultDir)[0] ?? "";
    const whole = readFileSync(join(vaultDir, name));
    const broken = Buffer.from(whole);
    broken[20] = (broken[20] ?? 0) ^ 1;
    writeFileSync(join(vaultDir, name), broken);
    expect(await code(unseal())).toMatch(/^vault\./);
    await untilState("sealed");
    writeFileSync(join(vaultDir, name), whole);
    expect(await unseal()).toBe("serving");
  });

  it("takes a passphrase for a key file as no reason to fail", async () => {
    await start();
    await seal();
    expect(await unseal(PASSPHRASE)).toBe("serving");
  });

  it("can be sealed again as often as it was unsealed, and ends while it is either", async () => {
    const daemon = await start();
    for (let round = 0; round < 3; round += 1) {
      await seal();
      expect(await unseal()).toBe("serving");
    }
    await seal();
    await daemon[Symbol.asyncDispose]();
    await using open = await Daemon.start({
      ...{ home, keyDir, version: "0.0.0", pid: 1, ...effects },
      listen: [{ host: "127.0.0.1", port: 0 }],
    });
    expect(open.ready.state).toBe("open");
  });
});

describe("starting sealed", () => {
  it("works right after init: its owner is let in, unseals it, and keeps secrets there", async () => {
    const ask = () => Promise.resolve(new Uint8Array(PASSPHRASE));
    const kek = passphraseProvider({ random: systemRandom, ask });
    await initHome({ home, keyDir, name: "kitchen", kek, ...effects });
    await using daemon = await Daemon.start({
      ...{ home, keyDir, version: "0.0.0", pid: 1, start: "sealed", ...effects },
      listen: [{ host: "127.0.0.1", port: 0 }],
    });
    expect(daemon.ready.state).toBe("sealed");
    {
      await using owner = await connect({ home });
      expect(await owner.call(Health.Status, {})).toMatchObject({
        state: "sealed",
        keyKinds: ["passphrase"],
      });
    }
    expect(await code(unseal(new TextEncoder().encode("incorrect horse")))).toBe("vault.wrong-key");
    expect(await unseal(PASSPHRASE.slice())).toBe("serving");
    await using owner = await connect({ home });
    await owner.call(Vault.Put, { path: "shared/a", value: new TextEncoder().encode("1") });
    expect(Buffer.from((await owner.call(Vault.Get, { path: "shared/a" })).value).toString()).toBe("1");
  });

  it("ends with the recovery key as well, which is counted and written down", async () => {
    const right = generateRecoveryKey(systemRandom);
    const wrong = generateRecoveryKey(systemRandom);
    const giving = async ({ text }: typeof right): Promise<string> => {
      await using owner = await connect({ home });
      const recoveryKey = text.use((bytes) => new Uint8Array(bytes));
      return (await owner.call(Seal.Unseal, { recoveryKey })).state;
    };
    await initHome({ home, keyDir, name: "kitchen", recipient: right.recipient, ...effects });
    const daemon = await start({ start: "sealed" });
    for (let guess = 0; guess < 5; guess += 1) expect(await code(giving(wrong))).toBe("vault.wrong-key");
    expect(await code(giving(right))).toBe("vault.unseal-limited");
    await daemon[Symbol.asyncDispose]();
    const again = await start({ start: "sealed" });
    expect(await code(giving(wrong))).toBe("vault.wrong-key");
    expect(await giving(right)).toBe("serving");
    await again[Symbol.asyncDispose]();
    expect(await audited()).toEqual(["vault:unseal failed vault.wrong-key", "vault:unseal done"]);
  });

  it("needs what init left or the last open door, and that must be whole", async () => {
    const daemon = await start();
    await daemon[Symbol.asyncDispose]();
    const path = homeLayout(home).doorFile;
    const whole = readFileSync(path);
    for (let length = 0; length < whole.length; length += STEP) {
      writeFileSync(path, whole.subarray(0, length));
      expect(await code(start({ start: "sealed" }))).toBe("boot.damaged");
    }
    for (let offset = 0; offset < whole.length; offset += STEP) {
      const flipped = Buffer.from(whole);
      flipped[offset] = (flipped[offset] ?? 0) ^ 0x10;
      writeFileSync(path, flipped);
      expect(await code(start({ start: "sealed" }))).toBe("boot.damaged");
    }
    rmSync(path);
    expect(await code(start({ start: "sealed" }))).toBe("vault.key-missing");
    writeFileSync(path, whole, { mode: 0o600 });
    expect((await start({ start: "sealed" })).ready.state).toBe("sealed");
  });

  it("shows a stranger nothing but the end of its handshake", async () => {
    await start();
    await seal();
    const target = (await start({ home: join(dir, "b"), keyDir: join(dir, "other-keys") })).ready.quic;
    await using other = await connect({ home: join(dir, "b") });
    expect((await other.call(Health.Status, {})).quic).toBe(target);
    const endpoint: unknown = JSON.parse(readFileSync(homeLayout(home).endpointFile, "utf8"));
    writeFileSync(homeLayout(join(dir, "b")).endpointFile, JSON.stringify(endpoint));
    expect(await code(pinged("b"))).toMatch(/^quic\./);
  });
});
