import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { selfSignedLeaf } from "../../src/certs/index.ts";
import { connect, METHODS, Remotes } from "../../src/client/index.ts";
import { silentLogger, systemClock, systemRandom, unixMs } from "../../src/core/index.ts";
import { Daemon } from "../../src/daemon/index.ts";
import { homeLayout } from "../../src/files/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";

const effects = { clock: systemClock, random: systemRandom, logger: silentLogger };

let dir: string;
let daemon: Daemon;
const home = (name: string): string => join(dir, name);

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "gatehouse-connect-"));
  daemon = await start("a");
});

afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

const start = (name: string): Promise<Daemon> =>
  Daemon.start({
    ...{ ...effects, home: home(name), keyDir: join(dir, "keys"), version: "0.0.0", pid: 1 },
    listen: [{ host: "127.0.0.1", port: 0 }],
    init: { name },
  });

/** One call, as a command makes it. */
async function ask(from: string): Promise<void> {
  await using client = await connect({ home: from });
  await client.call(METHODS.Health.Ping, {});
}

describe("connecting", () => {
  it("finds the gatehouse of its own home, as its owner", async () => {
    await using client = await connect({ home: home("a") });
    expect(client).toMatchObject({ wire: "quic", remote: { name: "a", role: "owner" } });
    expect(client.handshakeMs).toBeGreaterThan(0);
    const status = await client.call(METHODS.Health.Status, {});
    expect(status.deviceId).toBe(daemon.ready.deviceId);
  });

  it("says how to begin in a home that knows no gatehouse", async () => {
    await expect(connect({ home: home("nowhere") })).rejects.toMatchObject({
      code: "remote.none",
      exitCode: 5,
      hint: expect.stringContaining("pair join"),
    });
    await expect(connect({ home: home("a"), on: "elsewhere" })).rejects.toMatchObject({
      code: "remote.not-found",
    });
  });

  it("says that the home's own gatehouse is not running, and where another process left off", async () => {
    const stopped = await start("b");
    await stopped[Symbol.asyncDispose]();
    await expect(connect({ home: home("b") })).rejects.toMatchObject({
      code: "quic.unreachable",
      exitCode: 6,
    });
    const { endpointFile } = homeLayout(home("b"));
    for (const damaged of ["", "null", "[]", '{"quic":7}', "{"]) {
      await writeFile(endpointFile, damaged);
      await expect(connect({ home: home("b") })).rejects.toMatchObject({ code: "file.damaged" });
    }
    await writeFile(endpointFile, JSON.stringify({ quic: stopped.ready.quic, pid: 1 }));
    await expect(connect({ home: home("b") })).rejects.toMatchObject({ code: "quic.unreachable" });
  });

  it("does not talk to a gatehouse whose authority is not the pinned one", async () => {
    const other = await start("c");
    await using _other = other;
    await writeFile(homeLayout(home("a")).endpointFile, JSON.stringify({ quic: other.ready.quic, pid: 1 }));
    await expect(ask(home("a"))).rejects.toMatchObject({ code: "quic.wrong-server" });
    await expect(connect({ home: home("a"), resumption: "none" })).rejects.toMatchObject({
      code: "quic.wrong-server",
    });
    await writeFile(homeLayout(home("a")).endpointFile, JSON.stringify({ quic: daemon.ready.quic, pid: 1 }));
    await using again = await connect({ home: home("a") });
    expect(again.remote.address).toBe(daemon.ready.quic);
  });

  it("with a certificate that the gatehouse did not issue is refused, as not paired", async () => {
    const stranger = home("d");
    const identity = await DeviceIdentity.openOrCreate(homeLayout(stranger).identityDir, effects);
    const served = await start("e");
    await using _served = served;
    await using owner = await connect({ home: home("e") });
    const { gatehouseId, identityKey, caCertificates, address } = owner.remote;
    await Remotes.of(stranger).add({
      ...{ name: "e", gatehouseId, identityKey, caCertificates, address, deviceName: "d", role: "member" },
      ...{
        certificate: await selfSignedLeaf(identity, systemClock.now(), systemRandom),
        pairedAt: unixMs(0),
        certificateExpiresAt: unixMs(Date.now() + 86_400_000),
      },
    });
    const called = connect({ home: stranger }).then(async (client) => {
      await using _client = client;
      return await client.call(METHODS.Health.Ping, {});
    });
    await expect(called).rejects.toMatchObject({ code: "quic.not-admitted", exitCode: 5 });
  });

  it("gives up when it is cancelled, or when nobody answers in time", async () => {
    const controller = new AbortController();
    controller.abort(new Error("enough"));
    await expect(connect({ home: home("a"), signal: controller.signal })).rejects.toThrow("enough");
    const silent = createSocket("udp4").bind(0, "127.0.0.1");
    await once(silent, "listening");
    const { endpointFile } = homeLayout(home("a"));
    await writeFile(endpointFile, JSON.stringify({ quic: `127.0.0.1:${silent.address().port}`, pid: 1 }));
    await expect(connect({ home: home("a"), timeoutMs: 200 })).rejects.toMatchObject({
      code: "quic.timed-out",
      exitCode: 6,
    });
    silent.close();
  });
});
