import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseAddress } from "../../src/client/address.ts";
import { type CachedSecret, connect, METHODS, Remotes } from "../../src/client/index.ts";
// What a client keeps; it is asked through `Client.cachedSecret`, and here where the test owns the clock.
import { type GivenSecret, SecretCache } from "../../src/client/offline/secret-cache.ts";
import { GatehouseError, LIMITS, silentLogger } from "../../src/core/index.ts";
import { LABELS } from "../../src/crypto/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { UdpRelay } from "../support/udp-relay.ts";
import { failure } from "./fake-gatehouse.ts";
import { PairedHomes } from "./paired-homes.ts";

const random = new SeededRandom(91);
const identity = DeviceIdentity.generate(random);
const [gatehouseId, otherId] = [DeviceIdentity.generate(random).id, DeviceIdentity.generate(random).id];
const HOUR_MS = 3_600_000;
const GONE = failure("quic.unreachable");

let root: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "gatehouse-secret-cache-"));
});
afterAll(async () => {
  await rm(root, { recursive: true });
});

function given(text: string | Uint8Array, over: Partial<GivenSecret> = {}): GivenSecret {
  return {
    version: 3,
    contentType: "text/plain",
    value: new Uint8Array(Buffer.from(text)),
    expiresAt: 0,
    ...over,
  };
}

/** A home, and what its gatehouse says next. */
function home() {
  count += 1;
  const dir = join(root, String(count));
  const clock = new ManualClock();
  const cacheOf = (whose = gatehouseId, own = identity) =>
    new SecretCache({
      ...{ dir, gatehouseId: whose, clock, random, logger: silentLogger },
      key: own.deriveKey(LABELS.cachedSecretKey),
      nameKey: own.deriveKey(LABELS.cachedSecretName),
    });
  let cache = cacheOf();
  const asked = async (
    answer: GivenSecret | GatehouseError,
    { path = "a/b", maxStaleMs = HOUR_MS, from = cache } = {},
  ): Promise<string> => {
    const asking = from.get(path, { maxStaleMs }, () =>
      answer instanceof GatehouseError ? Promise.reject(answer) : Promise.resolve(answer),
    );
    return await shown(asking);
  };
  return {
    ...{ dir, clock, asked, cacheOf },
    files: async () => (await readdir(dir).catch((): string[] => [])).filter((name) => name !== ".lock"),
    /** Another process. */
    restart: () => {
      cache = cacheOf();
    },
  };
}

async function shown(asking: Promise<CachedSecret>): Promise<string> {
  try {
    using secret = await asking;
    const text = secret.value.use((bytes) => Buffer.from(bytes.subarray(0, 20)).toString());
    return `${text} v${secret.version}${secret.isStale ? ` stale ${secret.ageMs}` : ""}`;
  } catch (error) {
    return error instanceof GatehouseError ? error.code : String(error);
  }
}

describe("a secret that is kept", () => {
  it("is what the gatehouse says, as long as it says something", async () => {
    const { asked, clock } = home();
    expect(await asked(given("one"))).toBe("one v3");
    clock.advance(1_000);
    expect(await asked(given("two", { version: 4 }))).toBe("two v4");
  });

  it.each(["quic.unreachable", "quic.timed-out", "quic.closed", "rpc.deadline", "rpc.draining"] as const)(
    "is given out, marked as stale and with its age, when asking ends with %s, in a later process too",
    async (code) => {
      const { asked, clock, restart } = home();
      await asked(given("one"));
      clock.advance(5_000);
      expect(await asked(failure(code))).toBe("one v3 stale 5000");
      restart();
      expect(await asked(failure(code))).toBe("one v3 stale 5000");
    },
  );

  it("is given out until it is too old for whoever asks, or for whoever asked for it, and not after", async () => {
    const { asked, clock } = home();
    await asked(given("one"), { maxStaleMs: HOUR_MS });
    clock.advance(1_000);
    expect(await asked(GONE, { maxStaleMs: 999 })).toBe("quic.unreachable");
    expect(await asked(GONE, { maxStaleMs: 1_000 })).toBe("one v3 stale 1000");
    clock.advance(HOUR_MS - 1_001);
    expect(await asked(GONE, { maxStaleMs: 24 * HOUR_MS })).toBe(`one v3 stale ${HOUR_MS - 1}`);
    clock.advance(1);
    expect(await asked(GONE, { maxStaleMs: 24 * HOUR_MS })).toBe("quic.unreachable");
  });

  it("is not given out when it has expired itself", async () => {
    const { asked, clock } = home();
    await asked(given("one", { expiresAt: clock.now() + 5_000 }));
    clock.advance(4_999);
    expect(await asked(GONE)).toBe("one v3 stale 4999");
    clock.advance(1);
    expect(await asked(GONE)).toBe("quic.unreachable");
  });

  it("is not given out when the clock went back by more than five minutes", async () => {
    const { asked, clock } = home();
    await asked(given("one"));
    clock.stepWall(-LIMITS.clockStepMs);
    expect(await asked(GONE)).toBe("one v3 stale 0");
    clock.stepWall(-1);
    expect(await asked(GONE)).toBe("quic.unreachable");
  });

  it.each(["authz.denied", "vault.not-found", "vault.version-not-found"] as const)(
    "is gone, it alone, before a refusal with %s is told",
    async (code) => {
      const { asked, files } = home();
      await asked(given("one"));
      await asked(given("two"), { path: "c" });
      expect(await asked(failure(code))).toBe(code);
      expect(await files()).toHaveLength(1);
      expect(await asked(GONE)).toBe("quic.unreachable");
      expect(await asked(GONE, { path: "c" })).toBe("two v3 stale 0");
    },
  );

  it.each(["device.revoked", "device.held", "device.key-changed", "device.unknown"] as const)(
    "is gone, with all others of that gatehouse, when the device is shut out with %s",
    async (code) => {
      const { asked, files, cacheOf } = home();
      const other = cacheOf(otherId);
      await asked(given("one"));
      await asked(given("two"), { path: "c" });
      await asked(given("three"), { from: other });
      expect(await asked(failure(code))).toBe(code);
      expect(await files()).toHaveLength(1);
      expect(await asked(GONE, { path: "c" })).toBe("quic.unreachable");
      expect(await asked(GONE, { from: other })).toBe("three v3 stale 0");
    },
  );

  it.each([
    "vault.sealed",
    "rpc.rate-limited",
    "rpc.internal",
    "quic.wrong-server",
    "quic.not-admitted",
    "certificate.expired",
    "rpc.cancelled",
  ] as const)("is neither given out nor dropped when asking ends with %s", async (code) => {
    const { asked } = home();
    await asked(given("one"));
    expect(await asked(failure(code))).toBe(code);
    expect(await asked(GONE)).toBe("one v3 stale 0");
  });

  it("is not kept when it was given before a refusal that was heard first", async () => {
    const { cacheOf, asked } = home();
    const cache = cacheOf();
    let give = (_secret: GivenSecret): void => undefined;
    const slow = cache.get(
      "a/b",
      { maxStaleMs: HOUR_MS },
      () =>
        new Promise((resolve) => {
          give = resolve;
        }),
    );
    expect(await asked(failure("authz.denied"), { from: cache })).toBe("authz.denied");
    give(given("one"));
    expect(await shown(slow)).toBe("one v3");
    expect(await asked(GONE, { from: cache })).toBe("quic.unreachable");
  });

  it("lies sealed in a file of this user alone, whose name does not tell its path", async () => {
    const { asked, dir, files } = home();
    await asked(given("hush-hush"), { path: "telling/path" });
    const [name = ""] = await files();
    const bytes = await readFile(join(dir, name));
    expect(bytes.includes("hush") || bytes.includes("telling") || name.includes("telling")).toBe(false);
    expect((await stat(join(dir, name))).mode & 0o777).toBe(0o600);
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
  });

  it("is nobody's but this identity's, of that path at that gatehouse, and whole", async () => {
    const { asked, dir, files, cacheOf } = home();
    await asked(given("one"));
    const [name = ""] = await files();
    const bytes = await readFile(join(dir, name));
    const stranger = cacheOf(gatehouseId, DeviceIdentity.generate(random));
    expect(await asked(GONE, { from: stranger })).toBe("quic.unreachable");
    await asked(given("two"), { path: "c" });
    const [otherName = ""] = (await files()).filter((found) => found !== name);
    await writeFile(join(dir, otherName), bytes);
    expect(await asked(GONE, { path: "c" })).toBe("quic.unreachable");
    for (let at = 0; at < bytes.length; at += 1) {
      await writeFile(
        join(dir, name),
        bytes.map((byte, index) => (index === at ? byte ^ 0x10 : byte)),
      );
      expect(await asked(GONE)).toBe("quic.unreachable");
    }
    for (const size of [0, 3, 12, bytes.length - 1]) {
      await writeFile(join(dir, name), bytes.subarray(0, size));
      expect(await asked(GONE)).toBe("quic.unreachable");
    }
    await writeFile(join(dir, name), bytes);
    expect(await asked(GONE)).toBe("one v3 stale 0");
  });

  it("is not read from a folder that others can write to", async () => {
    const { asked, dir } = home();
    await asked(given("one"));
    await chmod(dir, 0o777);
    expect(await asked(GONE)).toBe("quic.unreachable");
  });

  it("is wiped with what was lent, and so is what the gatehouse's answer held", async () => {
    const { cacheOf } = home();
    const answer = given("one");
    const secret = await cacheOf().get("a", { maxStaleMs: 1 }, () => Promise.resolve(answer));
    expect(answer.value).toEqual(new Uint8Array(3));
    secret[Symbol.dispose]();
    expect(() => secret.value.length).toThrow(TypeError);
    expect(JSON.stringify(secret)).not.toContain("one");
  });
});

describe("what is kept", () => {
  it("is at most 64 secrets: the oldest give way", async () => {
    const { asked, files } = home();
    for (let index = 0; index <= LIMITS.cachedSecrets; index += 1)
      await asked(given(`s${index}`), { path: `p${index}` });
    expect(await files()).toHaveLength(LIMITS.cachedSecrets);
    expect(await asked(GONE, { path: "p0" })).toBe("quic.unreachable");
    expect(await asked(GONE, { path: `p${LIMITS.cachedSecrets}` })).toBe(
      `s${LIMITS.cachedSecrets} v3 stale 0`,
    );
  });

  it("is at most a mebibyte in all; what is larger by itself is given and not kept", async () => {
    const { asked, files, dir } = home();
    const half = new Uint8Array(400_000).fill(0x61);
    for (const path of ["a", "b", "c"]) await asked(given(half), { path });
    const sizes = await Promise.all((await files()).map(async (name) => (await stat(join(dir, name))).size));
    expect(sizes).toHaveLength(2);
    expect(sizes.reduce((sum, size) => sum + size)).toBeLessThanOrEqual(LIMITS.cachedSecretsBytes);
    expect(await asked(given(new Uint8Array(LIMITS.secretValueBytes).fill(0x62)), { path: "c" })).toMatch(
      /^b+ v3$/,
    );
    expect(await asked(GONE, { path: "c" })).toBe("quic.unreachable");
  });

  it("is swept of what is too old for anybody by the next process that keeps something", async () => {
    const { asked, files, clock, restart } = home();
    await asked(given("one"), { path: "old", maxStaleMs: 1_000 });
    await asked(given("two"), { path: "young" });
    clock.advance(1_000);
    restart();
    await asked(given("three"), { path: "new" });
    expect(await files()).toHaveLength(2);
  });

  it.each([0, -1, Number.NaN, LIMITS.cachedSecretStaleMs + 1])(
    "is not asked for with %s ms",
    async (maxStaleMs) => {
      const { cacheOf } = home();
      const asking = cacheOf().get("a", { maxStaleMs }, () => Promise.resolve(given("one")));
      await expect(asking).rejects.toThrow(RangeError);
    },
  );
});

describe("a client that keeps secrets", () => {
  it("gives them out off the net, hears of a denial, and loses all when it is revoked", async () => {
    await using homes = await PairedHomes.create();
    const daemon = await homes.serve("hall");
    await homes.pair(daemon, "phone", "owner");
    await using relay = await UdpRelay.open(parseAddress(daemon.ready.quic).port);
    const phone = homes.home("phone");
    await Remotes.of(phone).set("hall", { address: relay.address });
    await using owner = await connect({ home: homes.home("hall") });
    for (const path of ["a", "b"]) await owner.call(METHODS.Vault.Put, { path, value: Buffer.from(path) });

    const options = { maxStaleMs: HOUR_MS, timeoutMs: 5_000 };
    await using client = await connect({ home: phone });
    expect(await shown(client.cachedSecret("a", options))).toBe("a v1");
    expect(await shown(client.cachedSecret("b", options))).toBe("b v1");
    await client.call(METHODS.Vault.Get, { path: "a" });
    relay.blocked.add("to-client");
    const away = { ...options, timeoutMs: 300 };
    expect(await shown(client.cachedSecret("a", away))).toMatch(/^a v1 stale \d+$/);
    await using later = await connect({ home: phone, dial: "when-needed" });
    expect(await shown(later.cachedSecret("b", away))).toMatch(/^b v1 stale \d+$/);

    relay.blocked.clear();
    await owner.call(METHODS.Vault.Remove, { path: "a" });
    expect(await shown(client.cachedSecret("a", options))).toBe("vault.not-found");
    relay.blocked.add("to-client");
    expect(await shown(client.cachedSecret("a", away))).toBe("rpc.deadline");

    relay.blocked.clear();
    await owner.call(METHODS.Device.Revoke, { device: "phone" });
    expect(await shown(client.cachedSecret("b", options))).toBe("device.revoked");
    expect(await readdir(join(phone, "secret-cache"))).toEqual([".lock"]);
  });
});
