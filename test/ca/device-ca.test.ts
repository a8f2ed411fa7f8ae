import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DeviceCa, type DeviceCaOptions, type KeyCodec } from "../../src/ca/index.ts";
import { createTlsRequest, inspectLeaf, parseTlsRequest } from "../../src/certs/index.ts";
import { concat, LIMITS, systemRandom } from "../../src/core/index.ts";
import { LABELS, openOnce, sealOnce } from "../../src/crypto/index.ts";
import { type DeviceId, DeviceIdentity } from "../../src/identity/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";

let root: string;
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "gatehouse-ca-"));
});
afterAll(async () => {
  await rm(root, { recursive: true });
});
function fresh(): string {
  count += 1;
  return join(root, `ca-${count}`);
}

const clock = new ManualClock();
const gatehouse = DeviceIdentity.generate(new SeededRandom(30));
const device = DeviceIdentity.generate(new SeededRandom(31));

function codec(seed: number): KeyCodec {
  const none = new Uint8Array();
  const context = { key: new SeededRandom(seed).bytes(32), label: LABELS.caKey, header: none };
  return {
    seal: (plaintext) => sealOnce({ ...context, associatedData: none, plaintext, random: systemRandom }),
    open: (sealed) => openOnce({ ...context, associatedData: none, sealed }),
  };
}

function options(gatehouseId: DeviceId = gatehouse.id, seed = 1): DeviceCaOptions {
  return { gatehouseId, codec: codec(seed), random: systemRandom, clock };
}

describe("a device authority", () => {
  it("issues leaves to devices and to its gatehouse that pass inspection", async () => {
    const ca = await DeviceCa.openOrCreate(fresh(), options());
    const request = await parseTlsRequest(await createTlsRequest(device));
    const issued = await ca.issueDevice(request);
    const common = { caCertificates: ca.certificatesDer, gatehouseId: gatehouse.id, now: clock.now() };
    const facts = inspectLeaf([issued.der], { ...common, usage: "device" });
    expect(facts).toMatchObject({
      deviceId: device.id,
      serial: issued.serial,
      expiresAt: issued.expiresAt,
    });
    expect(issued.expiresAt).toBe(clock.now() + LIMITS.certificateLifetimeMs);
    const server = await ca.issueServer(gatehouse.tls.spki);
    expect(inspectLeaf([server.der], { ...common, usage: "server" }).deviceId).toBe(gatehouse.id);
    expect(server.serial).not.toBe(issued.serial);
  });

  it("is made once: leaves issued before pass after it was opened again", async () => {
    const dir = fresh();
    const first = await DeviceCa.openOrCreate(dir, options());
    const { der } = await first.issueDevice({ deviceId: device.id, spki: device.tls.spki });
    for (const again of [await DeviceCa.openOrCreate(dir, options()), await DeviceCa.open(dir, options())]) {
      expect(again.certificatesPem).toBe(first.certificatesPem);
      const chain = { caCertificates: again.certificatesDer, gatehouseId: gatehouse.id, now: clock.now() };
      expect(inspectLeaf([der], { ...chain, usage: "device" }).deviceId).toBe(device.id);
    }
  });

  it("is one and the same for several that create it at once", async () => {
    const dir = fresh();
    const all = await Promise.all([1, 2, 3, 4].map(() => DeviceCa.openOrCreate(dir, options())));
    expect(new Set(all.map(({ certificatesPem }) => certificatesPem)).size).toBe(1);
  });

  it("lies in a private file that holds no key in the open", async () => {
    const dir = fresh();
    const ca = await DeviceCa.openOrCreate(dir, options());
    const path = join(dir, "generation-1");
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const file = await readFile(path);
    expect(file.includes(Buffer.from(ca.certificatesDer[0]?.subarray(0, 100) ?? "none"))).toBe(false);
  });
});

describe("an authority on disk", () => {
  it("is refused with any byte changed, cut anywhere, or continued, and never replaced", async () => {
    const dir = fresh();
    await DeviceCa.openOrCreate(dir, options());
    const path = join(dir, "generation-1");
    const good = new Uint8Array(await readFile(path));
    const bad = [
      ...Array.from(good, (byte, at) => good.with(at, byte ^ (1 << (at % 8)))),
      ...Array.from(good, (_, size) => good.subarray(0, size)),
      concat(good, Uint8Array.of(0)),
      new Uint8Array(LIMITS.smallFileBytes + 1),
    ];
    for (const bytes of bad) {
      await writeFile(path, bytes);
      await expect(DeviceCa.openOrCreate(dir, options())).rejects.toMatchObject({
        code: "ca.damaged",
        message: expect.stringContaining("generation-1"),
      });
    }
    expect((await readFile(path)).length).toBe(LIMITS.smallFileBytes + 1);
    await writeFile(path, good);
    expect((await DeviceCa.open(dir, options())).certificatesDer).toHaveLength(1);
  });

  it("is refused under another key, and for another gatehouse", async () => {
    const dir = fresh();
    await DeviceCa.openOrCreate(dir, options());
    await expect(DeviceCa.open(dir, options(gatehouse.id, 2))).rejects.toMatchObject({ code: "ca.damaged" });
    await expect(DeviceCa.open(dir, options(device.id))).rejects.toMatchObject({ code: "ca.damaged" });
  });

  it("is refused when others may read it, and reported when it is missing", async () => {
    const dir = fresh();
    await expect(DeviceCa.open(dir, options())).rejects.toMatchObject({ code: "file.not-found" });
    await DeviceCa.openOrCreate(dir, options());
    await chmod(join(dir, "generation-1"), 0o640);
    await expect(DeviceCa.open(dir, options())).rejects.toMatchObject({ code: "home.bad-permissions" });
  });
});
