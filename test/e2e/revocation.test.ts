import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Client, connect, METHODS } from "../../src/client/index.ts";
import { copyOf, GatehouseError, Resources, systemRandom } from "../../src/core/index.ts";
import { exportAgreementKey, exportSigningKey, exportTlsKey } from "../../src/crypto/index.ts";
import { homeLayout } from "../../src/files/index.ts";
import { decodeIdentity } from "../../src/identity/identity-file.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import { type Daemon, Install } from "../support/gatehouse-process.ts";
import { type PairedDevice, pairDevice } from "../support/paired-device.ts";

const resources = new Resources();
let home: Install;
let daemon: Daemon;
let phone: PairedDevice;

const codeOf = (failure: unknown): string =>
  failure instanceof GatehouseError ? failure.code : String(failure);

beforeAll(async () => {
  home = resources.use(await Install.create());
  await home.json(["init", "--name", "hall"]);
  daemon = resources.use(await home.serve(["--open-pairing"]));
  phone = resources.use(await pairDevice(daemon, "phone"));
  await home.json(["device", "grant", "phone", "owner"]);
});

afterAll(() => resources[Symbol.asyncDispose]());

/** Pings until the first failure; answers when the last one that succeeded was begun and was answered. */
async function pingUntilRefused(
  client: Client,
): Promise<{ lastBegunMs: number; lastMs: number; code: string }> {
  let [lastBegunMs, lastMs] = [0, 0];
  for (;;) {
    const begunMs = performance.now();
    try {
      await client.call(METHODS.Health.Ping, {}, { timeoutMs: 5_000 });
      [lastBegunMs, lastMs] = [begunMs, performance.now()];
    } catch (failure) {
      return { lastBegunMs, lastMs, code: codeOf(failure) };
    }
  }
}

describe("a revocation", () => {
  it("ends streams, calls and tickets of the device: nothing asked after it was acknowledged is answered", async () => {
    // A ticket, for later.
    await using early = await connect({ home: phone.install.home });
    await early.call(METHODS.Health.Ping, {});
    await early[Symbol.asyncDispose]();
    await using client = await connect({ home: phone.install.home });
    const window = client.stream(METHODS.Pairing.Open, { uriOnly: true });
    await window.next();
    const streamEnd = window.next().then(
      () => ({ code: "went on", atMs: performance.now() }),
      (failure: unknown) => ({ code: codeOf(failure), atMs: performance.now() }),
    );
    const pings = pingUntilRefused(client);
    await home.json(["device", "revoke", "phone"]);
    const revokedMs = performance.now();
    const { lastBegunMs, lastMs, code } = await pings;
    const { code: streamCode, atMs } = await streamEnd;
    expect([code, streamCode]).toEqual(["device.revoked", "device.revoked"]);
    expect(lastBegunMs).toBeGreaterThan(0);
    expect(lastBegunMs).toBeLessThan(revokedMs);
    const since = (ms: number): string => `${Math.round(ms - revokedMs)} ms`;
    console.log(`last answer ${since(lastMs)} after the acknowledgement, the stream's end ${since(atMs)}`);
    // A gatehouse that had forgotten would answer these, by ticket and by certificate.
    for (const resumption of ["early", "handshake", "none"] as const) {
      const again = connect({ home: phone.install.home, resumption }).then(async (returned) => {
        await using _returned = returned;
        return await returned.call(METHODS.Health.Ping, {});
      });
      await expect(again).rejects.toMatchObject({ code: "device.revoked" });
    }
    expect(await phone.install.outcome(["device", "renew"])).toMatchObject({
      exit: 5,
      code: "device.revoked",
    });
  });

  it("stays after a restart, and the last owner cannot be revoked", async () => {
    const { address } = daemon;
    await daemon[Symbol.asyncDispose]();
    daemon = resources.use(await home.serve([], address));
    expect(await phone.install.outcome(["ping"])).toMatchObject({ exit: 5, code: "device.revoked" });
    expect(await home.outcome(["device", "revoke", "hall"])).toEqual({ exit: 7, code: "device.last-owner" });
    expect(await home.outcome(["device", "ungrant", "hall", "owner"])).toEqual({
      ...{ exit: 7, code: "device.last-owner" },
    });
  });
});

describe("private keys", () => {
  it("of a device lie nowhere in its gatehouse's home, nor the gatehouse's in the device's", async () => {
    const { identityDir } = homeLayout(phone.install.home);
    const file = copyOf(await readFile(join(identityDir, "identity.key")));
    const { signing, agreement, tls } = decodeIdentity(file);
    const secrets = [exportSigningKey(signing), exportAgreementKey(agreement), exportTlsKey(tls)].map(
      // The raw scalar or seed, however it is wrapped.
      (pkcs8) => pkcs8.subarray(pkcs8.length === 48 ? 16 : 36, pkcs8.length === 48 ? 48 : 68),
    );
    expect(
      secrets.every((secret) => secret.length === 32 && Buffer.from(file).includes(Buffer.from(secret))),
    ).toBe(true);
    const texts = secrets.flatMap((secret) => [
      Buffer.from(secret),
      Buffer.from(Buffer.from(secret).toString("base64").slice(0, 40)),
    ]);
    expect(await filesWith(home.home, texts)).toEqual([]);
    const sealed = await readFile(join(homeLayout(home.home).identityDir, "identity.key"));
    expect(await filesWith(phone.install.home, [sealed.subarray(64, 96)])).toEqual([]);
  });

  it("of a gatehouse are sealed: a copy of its home is nobody without the key beside it", async () => {
    const { identityDir } = homeLayout(home.home);
    await expect(DeviceIdentity.open(identityDir, { random: systemRandom })).rejects.toMatchObject({
      code: "key.missing",
    });
  });
});

async function filesOf(dir: string): Promise<readonly string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Those that hold any of `texts`. */
async function filesWith(dir: string, texts: readonly Buffer[]): Promise<readonly string[]> {
  const files = await filesOf(dir);
  const held = await Promise.all(
    files.map(async (path) => {
      const bytes = await readFile(path);
      return texts.some((text) => bytes.includes(text)) ? [path] : [];
    }),
  );
  return held.flat();
}
