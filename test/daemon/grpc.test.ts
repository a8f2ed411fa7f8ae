import { createConnection, createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connect, METHODS } from "../../src/client/index.ts";
import { GatehouseError, isGatehouseError, LIMITS, systemRandom } from "../../src/core/index.ts";
import type { Daemon } from "../../src/daemon/index.ts";
import type { gatehouse } from "../../src/gen/index.ts";
import type { Credentials } from "../support/credentials.ts";
import { TlsFixtures } from "../support/tls-fixtures.ts";
import { GrpcWorld, grpcOf, knock } from "./grpc-world.ts";

const { Health, Vault, Device, Approvals, Audit, Authority, Seal } = METHODS;

const world = new GrpcWorld();
let hall: Daemon;
let phone: Credentials;

beforeAll(async () => {
  hall = await world.serve();
  phone = await world.pair(hall, "phone");
  const owner = await world.owner();
  await owner.call(Device.Grant, { device: "phone", role: "owner" });
  await owner.call(Vault.Put, { path: "api/token", value: Buffer.from("s3cret") });
});
afterAll(() => world[Symbol.asyncDispose]());

const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "no failure",
    (failure: unknown) => (isGatehouseError(failure) ? failure.code : String(failure)),
  );
const identityOf = ({ keyPem, certificatePem }: Credentials) => ({ key: keyPem, cert: certificatePem });

/** Until the gatehouse answers as expected: clients come back by themselves, in their own time. */
async function eventually(work: () => Promise<void>): Promise<void> {
  for (let left = 50; ; left -= 1) {
    try {
      await work();
      return;
    } catch (failure) {
      if (left === 0) throw failure;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

describe("a paired device over gRPC", () => {
  it("is served as over QUIC: by the same policies, into the same audit, under its own name", async () => {
    using caller = world.caller(hall, phone);
    const { value } = await caller.unary(Vault.Get, { path: "api/token" });
    expect(Buffer.from(value).toString()).toBe("s3cret");
    expect(await codeOf(caller.unary(Vault.Get, { path: "no/such" }))).toBe("vault.not-found");
    const owner = await world.owner();
    let last: gatehouse.v1.AuditEvent.$Properties | undefined;
    for await (const { event } of owner.stream(Audit.Read, {}))
      if (event?.action === "secret:reveal") last = event;
    const { wire, remoteAddress, outcome, code } = last ?? {};
    expect({ wire, remoteAddress, outcome, code }).toEqual({
      ...{ wire: "grpc", remoteAddress: "127.0.0.1", outcome: "failed", code: "vault.not-found" },
    });
    const { device } = await owner.call(Device.Show, { device: "phone" });
    expect(device?.lastWire).toBe("grpc");
  });

  it("does a mutation once, however often it is asked to under one request id", async () => {
    using caller = world.caller(hall, phone);
    const requestId = systemRandom.bytes(16);
    const put = { path: "api/once", value: Uint8Array.of(1) };
    const first = await caller.unary(Vault.Put, put, { requestId });
    expect((await caller.unary(Vault.Put, put, { requestId })).version).toBe(first.version);
  });

  it("learns the address from the daemon, from status, and where it is off", async () => {
    const owner = await world.owner();
    expect((await owner.call(Health.Status, {})).grpc).toBe(grpcOf(hall));
    const off = await world.serve("quiet", { grpc: "off" });
    expect(off.ready.grpc).toBeUndefined();
    await off[Symbol.asyncDispose]();
  });
});

describe("a client with no more than BoringSSL offers", () => {
  it("gets in: certificates are of P-256 all the way up", async () => {
    const offer = {
      sigalgs: "ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256:rsa_pkcs1_sha256:ecdsa_secp384r1_sha384",
      ...{ ecdhCurve: "X25519:P-256:P-384", ciphers: "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256" },
    };
    const met = await knock(hall, phone, { ...identityOf(phone), ...offer }, "first word");
    expect(met).toMatchObject({ protocol: "TLSv1.3", failure: undefined });
    expect(met.said).not.toBe("");
  });
});

describe("who is not paired", () => {
  it("gets no further than TLS: without a certificate, with a stranger's, with another gatehouse's", async () => {
    using strangers = new TlsFixtures("stranger");
    const { keyPem, certificatePem } = strangers.selfSigned("self");
    const leaf = strangers.leaf("device", "clientAuth");
    const other = await world.serve("other");
    const otherPhone = await world.pair(other, "other-phone");
    await other[Symbol.asyncDispose]();
    const nobody = await knock(hall, phone);
    expect(nobody).toMatchObject({ said: "", failure: "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED" });
    for (const shown of [
      { key: keyPem, cert: certificatePem },
      { key: leaf.keyPem, cert: leaf.certificatePem },
      identityOf(otherPhone),
    ]) {
      expect((await knock(hall, phone, shown)).said).toBe("");
    }
    using caller = world.caller(hall, phone, otherPhone);
    expect(await codeOf(caller.unary(Health.Ping, {}, { timeoutMs: 2_000 }))).toBe("quic.closed");
  });

  it("cannot speak TLS 1.2, or anything but HTTP/2", async () => {
    const old = await knock(hall, phone, { ...identityOf(phone), maxVersion: "TLSv1.2" });
    expect(old).toMatchObject({ said: "", failure: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION" });
    const http1 = await knock(hall, phone, { ...identityOf(phone), ALPNProtocols: ["http/1.1"] });
    expect(http1).toMatchObject({ said: "", failure: expect.stringContaining("NO_APPLICATION_PROTOCOL") });
    expect((await knock(hall, phone, { ...identityOf(phone), ALPNProtocols: [] })).said).toBe("");
    const good = await knock(hall, phone, identityOf(phone), "first word");
    expect(good).toMatchObject({ protocol: "TLSv1.3", failure: undefined });
    expect(good.said).not.toBe("");
  });

  it("holds no place for long, and few of them", async () => {
    const [host = "", port = ""] = grpcOf(hall).split(":");
    let ended = 0;
    const sockets = Array.from({ length: LIMITS.handshakesPerSource + 8 }, () =>
      createConnection({ host, port: Number(port) })
        .on("error", () => undefined)
        .once("close", () => (ended += 1)),
    );
    try {
      await eventually(async () => expect(ended).toBe(8));
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(ended).toBe(8);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
    await eventually(async () =>
      expect((await knock(hall, phone, identityOf(phone), "first word")).said).not.toBe(""),
    );
  });
});

describe("a device's connections", () => {
  it("are bounded over both wires together, and the one too many is told so", async () => {
    const laptop = await world.pair(hall, "laptop");
    const owner = await world.owner();
    const callers = [];
    for (let count = 0; count < LIMITS.connectionsPerDevice - 1; count += 1) {
      const caller = world.caller(hall, laptop);
      callers.push(caller);
      await caller.unary(Health.Ping, {});
    }
    await using quic = await connect({ home: world.home("laptop") });
    await quic.call(Health.Ping, {});
    const { connections } = await owner.call(Device.Show, { device: "laptop" });
    expect(connections).toBe(LIMITS.connectionsPerDevice);
    expect((await knock(hall, laptop, identityOf(laptop))).said).toContain("quic.limit this device has");
    for (const caller of callers) caller[Symbol.dispose]();
  });
});

describe("a revocation", () => {
  it("ends the device's streams and connections within a second, and lets it in no more", async () => {
    const tablet = await world.pair(hall, "tablet");
    const owner = await world.owner();
    await owner.call(Device.Grant, { device: "tablet", role: "owner" });
    using caller = world.caller(hall, tablet);
    const watching = caller.serverStream(Approvals.Watch, {}, { timeoutMs: 30_000 });
    await watching.next();
    const streamEnd = codeOf(watching.next());
    const connected = knock(hall, tablet, identityOf(tablet));
    await eventually(async () =>
      expect((await owner.call(Device.Show, { device: "tablet" })).connections).toBe(2),
    );
    const beganMs = performance.now();
    await owner.call(Device.Revoke, { device: "tablet" });
    expect(await streamEnd).toBe("device.revoked");
    expect((await connected).said).toContain("device.revoked this device was revoked");
    expect(performance.now() - beganMs).toBeLessThan(1_000);
    const again = await knock(hall, tablet, identityOf(tablet));
    expect(again).toMatchObject({
      protocol: "TLSv1.3",
      said: expect.stringContaining("device.revoked this device"),
    });
    expect(await codeOf(caller.unary(Health.Ping, {}, { timeoutMs: 2_000 }))).toBe("quic.closed");
  });
});

describe("the gatehouse's certificate", () => {
  it("is another one from the next connection on when it was renewed, and so are the authorities it trusts", async () => {
    const owner = await world.owner();
    const before = await knock(hall, phone, identityOf(phone), "first word");
    using caller = world.caller(hall, phone);
    await caller.unary(Health.Ping, {});
    await owner.call(Authority.RenewServer, { newKey: true });
    const after = await knock(hall, phone, identityOf(phone), "first word");
    expect(after.protocol).toBe("TLSv1.3");
    expect(after.serial).not.toBe(before.serial);
    // Who was there before stays.
    await caller.unary(Health.Ping, {});
    await owner.call(Authority.Rotate, {});
    const watch = await world.pair(hall, "watch");
    using late = world.caller(hall, watch);
    await late.unary(Health.Ping, {});
  });
});

describe("a device whose certificate has run out", () => {
  it("is turned away, and once it is readmitted let in for its renewal alone", async () => {
    const lifetimeMs = 2_000;
    const brief = await world.serve("brief", { leafLifetimeMs: lifetimeMs, roundsPauseMs: 200 });
    const late = await world.pair(brief, "late");
    const pairedMs = Date.now();
    using caller = world.caller(brief, late);
    await caller.unary(Health.Ping, {});
    await new Promise((resolve) => setTimeout(resolve, pairedMs + lifetimeMs + 1_000 - Date.now()));
    expect((await knock(brief, late, identityOf(late))).said).toBe("");
    const owner = await world.owner("brief");
    await owner.call(Device.Readmit, { device: "late" });
    // The second attempt is the one that may be let in.
    await knock(brief, late, identityOf(late), "first word");
    using readmitted = world.caller(brief, late);
    await eventually(async () =>
      expect(await codeOf(readmitted.unary(Health.Ping, {}, { timeoutMs: 500 }))).toBe("device.renewal-only"),
    );
    expect(await codeOf(readmitted.unary(Device.Renew, {}, { timeoutMs: 500 }))).toMatch(/^certificate\./);
    // A stranger gains nothing by it.
    using strangers = new TlsFixtures("stranger");
    const { keyPem, certificatePem } = strangers.selfSigned("self");
    const stranger = await knock(brief, late, { key: keyPem, cert: certificatePem });
    expect(stranger.said).toMatch(/^$|certificate\.|not-admitted/);
    await brief[Symbol.asyncDispose]();
  });
});

describe("a sealed gatehouse", () => {
  it("answers its owner alone, and its owner no more than it must", async () => {
    const cellar = await world.serve("cellar");
    const radio = await world.pair(cellar, "radio");
    using caller = world.caller(cellar, radio);
    await caller.unary(Health.Ping, {});
    const owner = await world.owner("cellar");
    await owner.call(Seal.Seal, {});
    using own = world.caller(cellar, await world.ownerCredentials("cellar"));
    await eventually(async () => {
      const { state, keyKinds, grpc } = await own.unary(Health.Status, {});
      // Only who is sealed tells what opens it.
      expect({ state, keyKinds, grpc }).toEqual({
        state: "sealed",
        keyKinds: ["key-file"],
        grpc: grpcOf(cellar),
      });
    });
    expect(await codeOf(own.unary(Vault.Get, { path: "a" }))).toBe("vault.sealed");
    expect((await knock(cellar, radio, identityOf(radio))).said).toContain(
      "vault.sealed the vault is sealed",
    );
    await own.unary(Seal.Unseal, {});
    await eventually(() => caller.unary(Health.Ping, {}).then(() => undefined));
    await cellar[Symbol.asyncDispose]();
  });
});

describe("a TCP port that is taken", () => {
  it("is told as a UDP port is, unless the system picked the number", async () => {
    const holder = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => holder.once("listening", resolve));
    const address = holder.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const taken = { host: "127.0.0.1", port: address.port };
    await expect(world.serve("late-comer", { grpc: [taken] })).rejects.toMatchObject({
      code: "quic.address-in-use",
      message: expect.stringContaining("TCP"),
    });
    await expect(world.serve("late-comer", { listen: [taken] })).rejects.toBeInstanceOf(GatehouseError);
    holder.close();
  });
});
