import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Daemon, Install, text } from "../support/gatehouse-process.ts";

const DEVICE_ID = /^[a-z2-7]{56}$/;
const FINGERPRINT = /^[0-9a-f]{64}$/;

/** The shapes that scripts rely on, from the real program against a real daemon. */
describe("with --json", () => {
  let owner: Install;
  let member: Install;
  let daemon: Daemon;

  beforeAll(async () => {
    [owner, member] = [await Install.create(), await Install.create()];
    daemon = await owner.serve(["--init", "--open-pairing", "--name", "kitchen"]);
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await owner[Symbol.asyncDispose]();
    await member[Symbol.asyncDispose]();
  });

  it("serve says that it is ready, then shows the window and who came", async () => {
    expect(await daemon.event("ready")).toMatchObject({
      quic: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
      deviceId: expect.stringMatching(DEVICE_ID),
      fingerprint: expect.stringMatching(FINGERPRINT),
    });
    const opened = await daemon.event("pairing-open");
    expect(opened).toMatchObject({
      code: expect.stringMatching(/^\d{6}$/),
      uri: expect.stringMatching(/^gatehouse:\/\//),
      expiresAt: expect.any(Number),
    });
    const joined = await member.json(
      ["pair", "join", daemon.address, "--code", "-", "--name", "laptop"],
      `${text(opened["code"])}\n`,
    );
    expect(joined).toMatchObject({
      gatehouse: { name: "kitchen", deviceId: expect.stringMatching(DEVICE_ID) },
      device: { id: expect.stringMatching(DEVICE_ID), name: "laptop", role: "member" },
      certificate: { expiresAt: expect.any(Number) },
    });
    expect(await daemon.event("paired")).toMatchObject({ device: joined["device"] });
  });

  it("status, device ls, remote ls and ping answer in their shapes", async () => {
    expect(await owner.json(["status"])).toMatchObject({
      ...{ name: "kitchen", state: "serving", quic: daemon.address, devices: 2 },
      deviceId: expect.stringMatching(DEVICE_ID),
      fingerprint: expect.stringMatching(FINGERPRINT),
    });
    const { devices } = await owner.json(["device", "ls"]);
    expect(devices).toContainEqual(
      expect.objectContaining({
        name: "laptop",
        role: "member",
        state: "active",
        lastSeenAt: expect.any(Number),
      }),
    );
    const { remotes } = await member.json(["remote", "ls"]);
    expect(remotes).toEqual([expect.objectContaining({ name: "kitchen", address: daemon.address })]);
    const figure = expect.any(Number);
    expect(await member.json(["ping", "--count", "3", "--interval", "1ms"])).toMatchObject({
      ...{ sent: 3, received: 3, wire: "quic", handshakeMs: figure },
      rttMs: { min: figure, p50: figure, p95: figure, p99: figure, max: figure },
    });
  });

  it("the vault's commands answer in theirs, and get without --json is the bare bytes", async () => {
    const value = Buffer.from([0, 255, 10, 13, 27]);
    expect(await owner.json(["vault", "put", "shared/db"], value)).toMatchObject({
      path: "shared/db",
      version: 1,
    });
    expect((await member.run(["vault", "get", "shared/db"])).stdout.equals(value)).toBe(true);
    expect(await member.json(["vault", "get", "shared/db"])).toMatchObject({
      ...{ path: "shared/db", version: 1, value: value.toString("base64"), createdAt: expect.any(Number) },
    });
    expect(await owner.json(["vault", "put", "shared/db", "--if-version", "1"], "two")).toMatchObject({
      version: 2,
    });
    expect(await owner.json(["vault", "ls"])).toMatchObject({ secrets: [{ path: "shared/db", version: 2 }] });
    expect(await owner.json(["vault", "ls", "elsewhere"])).toEqual({ secrets: [] });
    const history = await owner.json(["vault", "history", "shared/db"]);
    expect(history).toMatchObject({ path: "shared/db", versions: [{ version: 2 }, { version: 1 }] });
    expect(await owner.json(["vault", "rm", "shared/db"])).toMatchObject({ path: "shared/db" });
  });

  it.each([
    ["a secret that is not there", ["vault", "get", "shared/none"], 3, "vault.not-found"],
    ["a path that cannot be", ["vault", "put", "../x"], 2, "vault.bad-path"],
    [
      "another version than expected",
      ["vault", "put", "shared/cas", "--if-version", "9"],
      7,
      "vault.version-conflict",
    ],
    ["a device nobody knows", ["device", "show", "nobody"], 3, "device.not-found"],
    ["a gatehouse nobody knows", ["status", "--on", "nowhere"], 3, "remote.not-found"],
    ["a value over 1 MiB", ["vault", "put", "shared/big"], 2, "vault.too-large"],
  ])("%s has its exit code and error code", async (what, argv, exit, code) => {
    const input = what.includes("1 MiB") ? Buffer.alloc(1_048_577) : "x";
    expect(await owner.outcome(argv, input)).toEqual({ exit, code });
  });

  it("pair open exits 6 when nobody comes, and closes its window when it is killed", async () => {
    expect(await owner.outcome(["pair", "open", "--ttl", "1s"])).toEqual({
      exit: 6,
      code: "pairing.expired",
    });
    const { Daemon: Process } = await import("../support/gatehouse-process.ts");
    await using first = new Process(owner.spawn(["pair", "open", "--json"]));
    await first.event("open");
    await first.stop("SIGTERM");
    await using second = new Process(owner.spawn(["pair", "open", "--json"]));
    expect(await second.event("open")).toMatchObject({ code: expect.stringMatching(/^\d{6}$/) });
  });

  it("a revoked device exits 5", async () => {
    expect(await owner.json(["device", "revoke", "laptop"])).toMatchObject({
      name: "laptop",
      state: "revoked",
    });
    expect(await member.outcome(["status"])).toMatchObject({ exit: 5 });
  });

  it("SIGTERM drains the daemon, which exits 0, and then nobody is reached", async () => {
    expect(await daemon.stop("SIGTERM")).toBe(0);
    expect(await owner.outcome(["status", "--timeout", "2s"])).toMatchObject({ exit: 6 });
  });
});

describe("a home that cannot be used", () => {
  it("is named with its own exit code", async () => {
    await using install = await Install.create();
    expect(await install.outcome(["serve"])).toEqual({ exit: 3, code: "home.not-initialized" });
    expect(await install.outcome(["status"])).toMatchObject({ exit: 5 });
    expect(await install.json(["init", "--name", "kitchen"])).toMatchObject({
      ...{ name: "kitchen", deviceId: expect.stringMatching(DEVICE_ID) },
      fingerprint: expect.stringMatching(FINGERPRINT),
    });
    expect(await install.outcome(["init"])).toEqual({ exit: 7, code: "home.already-initialized" });
  });
});
