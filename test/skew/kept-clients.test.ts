/** The clients of earlier releases, as they were, beside the gatehouse of today. `npm run keep-client` adds one. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type * as Today from "../../src/client/index.ts";
import type { Daemon } from "../../src/daemon/index.ts";
import { PairedHomes } from "../client/paired-homes.ts";

const KEPT = fileURLToPath(new URL("clients", import.meta.url));
/** Where a module finds our packages. */
const BESIDE_PACKAGES = fileURLToPath(new URL("../../node_modules", import.meta.url));

/** What 0.1.0 exports, and every later one has to. */
type Client = Pick<typeof Today, "connect" | "joinGatehouse" | "METHODS">;

const versions = (await readdir(KEPT)).map((name) => name.replace(/\.mjs\.gz$/, "")).sort();

it("there is a kept client", () => {
  expect(versions).toContain("0.1.0");
});

describe.each(versions)("the client of %s", (version) => {
  let homes: PairedHomes;
  let daemon: Daemon;
  let folder: string;
  let old: Client;
  const home = (): string => homes.home("old");

  beforeAll(async () => {
    homes = await PairedHomes.create();
    daemon = await homes.serve("hall");
    folder = await mkdtemp(join(BESIDE_PACKAGES, ".kept-client-"));
    const path = join(folder, "client.mjs");
    await writeFile(path, gunzipSync(await readFile(join(KEPT, `${version}.mjs.gz`))));
    old = (await import(pathToFileURL(path).href)) as Client;
    const events = daemon
      .openPairing({ role: "owner" }, new AbortController().signal)
      [Symbol.asyncIterator]();
    const { value } = await events.next();
    if (value?.kind !== "opened") throw new Error("the window did not open");
    await old.joinGatehouse({
      ...{
        home: home(),
        target: daemon.ready.quic,
        code: value.code,
        name: "old",
        kind: "test",
        platform: "test",
      },
    });
    while ((await events.next()).done !== true);
  });

  afterAll(async () => {
    await homes[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  it.each(["quic", "grpc"] as const)("makes its calls over %s, and reads the answers", async (wire) => {
    const { METHODS } = old;
    await using client = await old.connect({ home: home(), wire });
    expect(client.wire).toBe(wire);
    const { state, name, deviceId } = await client.call(METHODS.Health.Status, {});
    expect({ state, name, deviceId }).toEqual({
      state: "serving",
      name: "hall",
      deviceId: daemon.ready.deviceId,
    });
    expect((await client.call(METHODS.Health.Info, {})).services).toContain("gatehouse.v1.Vault");
    const path = `skew/${wire}`;
    const value = Buffer.from("correct horse");
    expect(await client.call(METHODS.Vault.Put, { path, value, ttlMs: 3_600_000 })).toMatchObject({
      version: 1,
    });
    const got = await client.call(METHODS.Vault.Get, { path });
    expect(Buffer.from(got.value).toString()).toBe("correct horse");
    expect(got.expiresAt).toBeGreaterThan(Date.now());
    const { secrets } = await client.call(METHODS.Vault.List, { prefix: "skew" });
    expect(secrets.map((secret) => secret.path)).toContain(path);
    await expect(client.call(METHODS.Vault.Put, { path, value, ifVersion: 7 })).rejects.toMatchObject({
      code: "vault.version-conflict",
    });
    await expect(client.call(METHODS.Vault.Get, { path: "skew/none" })).rejects.toMatchObject({
      code: "vault.not-found",
      exitCode: 3,
    });
    const watching = client.stream(METHODS.Approvals.Watch, {});
    expect((await watching.next()).done).toBe(false);
    await watching.return?.(undefined);
    const { devices } = await client.call(METHODS.Device.List, {});
    expect(devices.map((device) => device.name)).toContain("old");
    expect((await client.call(METHODS.Policy.List, {})).set).toBeGreaterThanOrEqual(0);
  });

  it("comes back with its ticket, has its certificate renewed, and is shut out when it is revoked", async () => {
    const { METHODS } = old;
    const before = await old.connect({ home: home() });
    await before.call(METHODS.Health.Ping, {});
    await before.renew();
    await before[Symbol.asyncDispose]();
    for (let time = 0; time < 2; time += 1) {
      await using again = await old.connect({ home: home() });
      await again.call(METHODS.Health.Ping, {});
      expect(again.handshake.isResumed).toBe(time === 1);
    }
    await using client = await old.connect({ home: home() });
    const { devices } = await client.call(METHODS.Device.List, {});
    const own = devices.find((device) => device.name === "old")?.id ?? "";
    await client.call(METHODS.Device.Revoke, { device: own }).catch(() => undefined);
    await expect(client.call(METHODS.Health.Ping, {})).rejects.toMatchObject({ code: "device.revoked" });
  });
});
