import { mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DeviceCa, type DeviceCaOptions } from "../../src/ca/index.ts";
import { inspectLeaf } from "../../src/certs/index.ts";
import { LIMITS, systemRandom } from "../../src/core/index.ts";
import { LABELS, openOnce, sealOnce } from "../../src/crypto/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const DAY_MS = 86_400_000;
const OVERLAP_MS = LIMITS.certificateLifetimeMs + LIMITS.caOverlapSlackMs;
const gatehouse = DeviceIdentity.generate(new SeededRandom(50));
const device = DeviceIdentity.generate(new SeededRandom(51));
const sealing = { key: new SeededRandom(5).bytes(32), label: LABELS.caKey, header: new Uint8Array() };
const codec: DeviceCaOptions["codec"] = {
  seal: (plaintext) =>
    sealOnce({ ...sealing, associatedData: new Uint8Array(), plaintext, random: systemRandom }),
  open: (sealed) => openOnce({ ...sealing, associatedData: new Uint8Array(), sealed }),
};

let dir: string;
let clock: ManualClock;
let ca: DeviceCa;

const options = (): DeviceCaOptions => ({ gatehouseId: gatehouse.id, codec, random: systemRandom, clock });
const states = (authority = ca) => authority.generations.map(({ number, state }) => `${number} ${state}`);
const deviceLeaf = () => ca.issueDevice({ deviceId: device.id, spki: device.tls.spki });
const serverLeaf = () => ca.issueServer(gatehouse.tls.spki);

/** Whether a leaf is good by the authorities `known`; with what it fails otherwise. */
function judge(der: Uint8Array, usage: "device" | "server", known: readonly Uint8Array[]): string {
  try {
    inspectLeaf([der], { caCertificates: known, gatehouseId: gatehouse.id, usage, now: clock.now() });
    return "good";
  } catch (failure) {
    return (failure as { readonly code: string }).code;
  }
}

beforeEach(async () => {
  dir = join(await mkdtemp(join(tmpdir(), "gatehouse-generations-")), "ca");
  clock = new ManualClock();
  ca = await DeviceCa.openOrCreate(dir, options());
});
afterEach(async () => {
  await rm(join(dir, ".."), { recursive: true });
});

describe("a rotation", () => {
  it("certifies devices by the new authority at once, and the gatehouse by the old one for 31 days", async () => {
    const old = ca.certificatesDer;
    const [before, serverBefore] = [await deviceLeaf(), await serverLeaf()];
    await ca.rotate();
    expect(states()).toEqual(["2 introduced", "1 serving"]);
    const [after, serverAfter] = [await deviceLeaf(), await serverLeaf()];
    expect([before, serverBefore, after, serverAfter].map(({ generation }) => generation)).toEqual([
      1, 1, 2, 1,
    ]);
    const both = ca.certificatesDer;
    expect([before, after].map(({ der }) => judge(der, "device", both))).toEqual(["good", "good"]);
    // A device that has not renewed yet knows the old authority alone, and the gatehouse still shows a leaf of it.
    expect(judge(serverAfter.der, "server", old)).toBe("good");
    clock.advance(OVERLAP_MS - 1);
    expect(states()).toEqual(["2 introduced", "1 serving"]);
    clock.advance(1);
    expect(states()).toEqual(["2 serving", "1 retired"]);
    expect((await serverLeaf()).generation).toBe(2);
    expect(ca.certificatesDer).toHaveLength(1);
    expect(ca.knownCertificatesDer).toHaveLength(2);
  });

  it.each([14, 29, 45])("is the same for whoever opens the authority again %i days later", async (days) => {
    await ca.rotate();
    clock.advance(days * DAY_MS);
    const again = await DeviceCa.open(dir, options());
    expect(states(again)).toEqual(days > 31 ? ["2 serving", "1 retired"] : ["2 introduced", "1 serving"]);
    expect(again.certificatesPem).toBe(ca.certificatesPem);
  });

  it("leaves nobody with a good leaf of the old authority when that retires", async () => {
    const last = await deviceLeaf();
    await ca.rotate();
    clock.advance(OVERLAP_MS);
    expect(judge(last.der, "device", ca.knownCertificatesDer)).toBe("certificate.expired");
  });

  it("waits for the one before, and says until when", async () => {
    await ca.rotate();
    const until = new Date(clock.now() + OVERLAP_MS).toISOString().slice(0, 13);
    await expect(ca.rotate()).rejects.toMatchObject({
      code: "ca.rotating",
      hint: expect.stringContaining(until),
    });
    clock.advance(OVERLAP_MS);
    await ca.rotate();
    expect(states()).toEqual(["3 introduced", "2 serving", "1 retired"]);
  });

  it("tells when trust changes by itself", async () => {
    expect(ca.generations.map(({ changesAt }) => changesAt)).toEqual([undefined]);
    await ca.rotate();
    const at = clock.now() + OVERLAP_MS;
    expect(ca.generations.every(({ changesAt }) => Math.abs((changesAt ?? 0) - at) < 1_000)).toBe(true);
  });

  it("keeps a bounded number of authorities", async () => {
    for (let turn = 0; turn < LIMITS.caGenerations + 2; turn += 1) {
      await ca.rotate();
      clock.advance(OVERLAP_MS);
    }
    expect(ca.generations).toHaveLength(LIMITS.caGenerations);
    expect(await readdir(dir)).toHaveLength(LIMITS.caGenerations);
    expect(states(await DeviceCa.open(dir, options()))).toEqual(states());
  });

  it("is not undone by a clock that is set back", async () => {
    await ca.rotate();
    clock.advance(OVERLAP_MS);
    expect(states()[0]).toBe("2 serving");
    clock.stepWall(-20 * DAY_MS);
    expect(states()).toEqual(["2 serving", "1 retired"]);
  });
});

describe("a generation's file", () => {
  it("is good under its own name only", async () => {
    await ca.rotate();
    await rename(join(dir, "generation-1"), join(dir, "aside"));
    await rename(join(dir, "generation-2"), join(dir, "generation-1"));
    await expect(DeviceCa.open(dir, options())).rejects.toMatchObject({
      code: "ca.damaged",
      message: expect.stringContaining("generation-1"),
    });
  });

  it("is missed when one between two is gone", async () => {
    await ca.rotate();
    clock.advance(OVERLAP_MS);
    await ca.rotate();
    await rm(join(dir, "generation-2"));
    await expect(DeviceCa.open(dir, options())).rejects.toMatchObject({
      code: "ca.damaged",
      message: expect.stringContaining("generation-2"),
    });
  });

  it("is refused cut at any length and with any byte changed", async () => {
    await ca.rotate();
    const path = join(dir, "generation-2");
    const whole = await readFile(path);
    for (let length = 0; length < whole.length; length += 37) {
      await writeFile(path, whole.subarray(0, length));
      await expect(DeviceCa.open(dir, options())).rejects.toMatchObject({ code: "ca.damaged" });
    }
    for (let at = 0; at < whole.length; at += 29) {
      const changed = Uint8Array.from(whole);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      await writeFile(path, changed);
      await expect(DeviceCa.open(dir, options())).rejects.toMatchObject({ code: "ca.damaged" });
    }
  });
});
