import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type Client,
  type CredentialsConnectOptions,
  connect,
  type DeviceCredentials,
  exportCredentials,
  METHODS,
} from "../../src/client/index.ts";
import { Resources } from "../../src/core/index.ts";
import type { Daemon } from "../../src/daemon/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { PairedHomes } from "./paired-homes.ts";

describe("a client without a home", () => {
  const resources = new Resources();
  let homes: PairedHomes;
  let hall: Daemon;
  let owner: Client;
  let lamp: DeviceCredentials;

  beforeAll(async () => {
    homes = resources.use(await PairedHomes.create());
    hall = await homes.serve("hall");
    owner = resources.use(await connect({ home: homes.home("hall") }));
    await homes.pair(hall, "lamp");
    lamp = await exportCredentials(homes.home("lamp"));
    await owner.vault.put({ path: "shared/db", value: Buffer.from("x") });
  });
  afterAll(() => resources[Symbol.asyncDispose]());

  const withIdentity = (identity: Partial<DeviceCredentials["identity"]>) =>
    connect({ ...lamp, identity: { ...lamp.identity, ...identity } });
  const withGatehouse = (gatehouse: Partial<CredentialsConnectOptions["gatehouse"]>) =>
    connect({ ...lamp, gatehouse: { ...lamp.gatehouse, ...gatehouse } });

  it.each(["quic", "grpc"] as const)(
    "calls as the device whose credentials it was given, over %s",
    async (wire) => {
      await using client = await connect({ ...lamp, wire });
      const { value } = await client.vault.get({ path: "shared/db" });
      expect([client.wire, Buffer.from(value).toString()]).toEqual([wire, "x"]);
      await expect(client.vault.put({ path: "shared/db", value })).rejects.toMatchObject({
        code: "authz.denied",
      });
    },
  );

  it("goes on after its connection was lost", async () => {
    const den = await homes.serve("den");
    await homes.pair(den, "radio");
    await using client = await connect(await exportCredentials(homes.home("radio")));
    await client.health.ping({});
    await homes.restart("den", den);
    expect(await client.health.status({})).toMatchObject({ name: "den" });
  });

  it("says that it does not renew what it was given", async () => {
    await using client = await connect(lamp);
    await expect(client.renew()).rejects.toMatchObject({
      ...{ code: "usage.bad-argument", hint: expect.stringContaining("remote export") },
    });
  });

  it("keeps nothing on the disk: no changes that wait, no copies of secrets", async () => {
    await using client = await connect(lamp);
    const refused = {
      code: "usage.bad-argument",
      message: "a client without a home keeps nothing on the disk",
    };
    expect(() => client.outbox).toThrow(refused.message);
    const change = client.enqueue(METHODS.Vault.Put, { path: "a/b", value: Buffer.from("x") });
    await expect(change).rejects.toMatchObject(refused);
    await expect(client.cachedSecret("shared/db", { maxStaleMs: 1 })).rejects.toMatchObject(refused);
  });

  it("fails with certificate.expired once the certificate has run out", async () => {
    const clock = new ManualClock(lamp.certificateExpiresAt);
    await expect(connect({ ...lamp, clock })).rejects.toMatchObject({ code: "certificate.expired" });
  });

  it("refuses what does not read, and does not repeat it", async () => {
    const { privateKeyPem, certificatePem } = lamp.identity;
    for (const pem of [
      "",
      "secret words",
      certificatePem,
      privateKeyPem.slice(0, -40),
      `${privateKeyPem}x`,
    ]) {
      const failure = await withIdentity({ privateKeyPem: pem }).catch((error: unknown) => error);
      expect(failure).toMatchObject({
        ...{ code: "usage.bad-argument", message: "identity.privateKeyPem: not the PEM that it should be" },
      });
      expect(failure).not.toHaveProperty("cause");
    }
    for (const pem of ["", privateKeyPem, `${certificatePem}\nmore`]) {
      await expect(withIdentity({ certificatePem: pem })).rejects.toThrow("identity.certificatePem");
      await expect(withGatehouse({ caPem: pem })).rejects.toThrow("gatehouse.caPem");
    }
    await expect(withGatehouse({ id: "hall" })).rejects.toMatchObject({ code: "identity.bad-device-id" });
    await expect(withGatehouse({ address: "nowhere" })).rejects.toMatchObject({ code: "usage.bad-argument" });
  });

  it("refuses what does not belong together, before a byte is sent", async () => {
    const den = await homes.serve("attic");
    await homes.pair(den, "clock");
    const other = await exportCredentials(homes.home("clock"));
    const { caPem, id } = other.gatehouse;
    await expect(withIdentity({ privateKeyPem: other.identity.privateKeyPem })).rejects.toThrow(
      "the certificate is for another key",
    );
    // An authority is constrained to the names of its own gatehouse.
    for (const part of [{ caPem }, { id }])
      await expect(withGatehouse(part)).rejects.toMatchObject({ code: "certificate.wrong-profile" });
    await expect(withGatehouse({ caPem, id })).rejects.toMatchObject({ code: "certificate.untrusted" });
  });

  it("takes no other gatehouse for its own", async () => {
    const elsewhere = await homes.serve("cellar");
    const called = withGatehouse({ address: elsewhere.ready.quic, grpc: "off" }).then(async (client) => {
      await using _client = client;
      return await client.health.ping({});
    });
    await expect(called).rejects.toMatchObject({ code: "quic.wrong-server" });
  });

  it("ends with its device", async () => {
    await homes.pair(hall, "kettle");
    await using client = await connect(await exportCredentials(homes.home("kettle")));
    await client.health.ping({});
    await owner.device.revoke({ device: "kettle" });
    await expect(client.health.ping({})).rejects.toMatchObject({ code: "device.revoked" });
  });
});
