import { beforeEach, describe, expect, it } from "vitest";
import { DeviceRegistry, type DeviceRow, type DeviceStore } from "../../src/ca/index.ts";
import { createCaCertificate, issueLeaf, selfSignedLeaf } from "../../src/certs/index.ts";
import { isGatehouseError, LIMITS } from "../../src/core/index.ts";
import { generateTlsKey, sha256 } from "../../src/crypto/index.ts";
import { DeviceIdentity, formatDeviceId, shortDeviceId } from "../../src/identity/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const random = new SeededRandom(40);
const gatehouse = DeviceIdentity.generate(random);
const [phone, laptop] = [DeviceIdentity.generate(random), DeviceIdentity.generate(random)];
const caKey = generateTlsKey(random);

/** Rows in memory; changes are "durable" at once. */
class MemoryStore implements DeviceStore<DeviceRow> {
  readonly #rows = new Map<string, DeviceRow>();
  readonly #listeners = new Set<(row: DeviceRow) => void>();

  get(id: string): DeviceRow | undefined {
    return this.#rows.get(id);
  }

  list(): readonly DeviceRow[] {
    return [...this.#rows.values()];
  }

  subscribe(listener: (row: DeviceRow) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  put(row: DeviceRow): void {
    this.#rows.set(row.id, row);
    for (const listener of this.#listeners) listener(row);
  }
}

function rowOf(device: DeviceIdentity, fields: Partial<DeviceRow> = {}): DeviceRow {
  return {
    ...{ id: device.id, name: "phone", roles: ["member"], state: "active", revokedAt: undefined },
    ...{ nextSpkiSha256: undefined, readmittedUntil: undefined, lastSeen: undefined },
    spkiSha256: sha256(device.tls.spki),
    ...fields,
  };
}

const SIGHT = { wire: "quic", address: "192.0.2.1" } as const;

let clock: ManualClock;
let store: MemoryStore;
let registry: DeviceRegistry<DeviceRow>;
let caCertificate: Uint8Array;
let everyCaCertificate: Uint8Array[];

beforeEach(async () => {
  clock = new ManualClock();
  store = new MemoryStore();
  const input = { key: caKey, gatehouseId: gatehouse.id, generation: 1, now: clock.now(), random };
  caCertificate = await createCaCertificate(input);
  everyCaCertificate = [caCertificate];
  registry = new DeviceRegistry({
    ...{ store, gatehouseId: gatehouse.id, clock },
    caCertificates: () => [caCertificate],
    everyCaCertificate: () => everyCaCertificate,
  });
});

async function leafOf(device: DeviceIdentity, spki = device.tls.spki): Promise<Uint8Array> {
  const authority = { gatehouseId: gatehouse.id, caCertificate, caKey };
  const leaf = { usage: "device", deviceId: device.id, spki, now: clock.now(), random } as const;
  return (await issueLeaf({ ...authority, ...leaf })).der;
}

/** The code that admission is refused with. */
function refusal(chain: readonly Uint8Array[]): string {
  try {
    registry.admit(chain);
    return "admitted";
  } catch (failure) {
    return isGatehouseError(failure) ? failure.code : `not typed: ${String(failure)}`;
  }
}

describe("admission", () => {
  it("lets a known device in by its pinned key, and remembers when", async () => {
    store.put(rowOf(phone));
    expect(registry.lastSeen(phone.id)).toBeUndefined();
    const { id, row } = registry.admit([await leafOf(phone)]);
    expect(id).toBe(phone.id);
    expect(row).toMatchObject({ name: "phone", roles: ["member"] });
    // Being let in proves nothing yet: it may be a replay.
    expect(registry.lastSeen(phone.id)).toBeUndefined();
    registry.seen(id, SIGHT);
    expect(registry.lastSeen(phone.id)).toEqual({ at: clock.now(), ...SIGHT });
  });

  it("refuses a device that is not on record, though its certificate is good", async () => {
    expect(refusal([await leafOf(phone)])).toBe("device.unknown");
  });

  it("refuses a revoked or quarantined device, a changed key and an expired certificate, and remembers none of them", async () => {
    const leaf = await leafOf(phone);
    store.put(rowOf(phone, { state: "revoked", revokedAt: 1_700_000_000_000 }));
    expect(refusal([leaf])).toBe("device.revoked");
    store.put(rowOf(phone, { state: "quarantined" }));
    expect(refusal([leaf])).toBe("device.quarantined");
    store.put(rowOf(phone, { state: "held" }));
    expect(refusal([leaf])).toBe("device.held");
    store.put(rowOf(phone));
    expect(refusal([await leafOf(phone, laptop.tls.spki)])).toBe("device.key-changed");
    clock.advance(LIMITS.certificateLifetimeMs);
    expect(refusal([leaf])).toBe("certificate.expired");
    expect(registry.lastSeen(phone.id)).toBeUndefined();
  });

  it("refuses everything else with a typed error", async () => {
    store.put(rowOf(phone));
    expect(refusal([])).toBe("certificate.wrong-profile");
    expect(refusal([new Uint8Array(10)])).toBe("certificate.malformed");
    expect(refusal([await selfSignedLeaf(phone, clock.now(), random)])).toBe("certificate.untrusted");
    expect(refusal([await leafOf(phone), caCertificate])).toBe("certificate.wrong-profile");
  });

  it("judges by the authorities of the moment", async () => {
    store.put(rowOf(phone));
    const leaf = await leafOf(phone);
    const key = generateTlsKey(random);
    const input = { key, gatehouseId: gatehouse.id, generation: 2, now: clock.now(), random };
    caCertificate = await createCaCertificate(input);
    expect(refusal([leaf])).toBe("certificate.untrusted");
  });
});

describe("a renewal of the key", () => {
  it("makes both keys good", async () => {
    store.put(rowOf(phone, { nextSpkiSha256: sha256(laptop.tls.spki) }));
    expect(registry.admit([await leafOf(phone)])).toMatchObject({ key: "current", access: "full" });
    expect(registry.admit([await leafOf(phone, laptop.tls.spki)])).toMatchObject({ key: "next" });
    store.put(rowOf(phone, { spkiSha256: sha256(laptop.tls.spki) }));
    expect(refusal([await leafOf(phone)])).toBe("device.key-changed");
  });
});

describe("readmission", () => {
  it("lets one device in with its expired certificate, to renew it, until its time is up", async () => {
    const leaves = [await leafOf(phone), await leafOf(laptop)] as const;
    clock.advance(LIMITS.certificateLifetimeMs);
    store.put(rowOf(laptop));
    store.put(rowOf(phone, { readmittedUntil: clock.now() + 1_000 }));
    expect(registry.isReadmitting).toBe(true);
    expect(registry.admit([leaves[0]])).toMatchObject({ id: phone.id, access: "renewal" });
    expect(refusal([leaves[1]])).toBe("certificate.expired");
    clock.advance(1_000);
    expect(registry.isReadmitting).toBe(false);
    expect(refusal([leaves[0]])).toBe("certificate.expired");
  });

  it("is nothing that a clock far in the future gave", async () => {
    const leaf = await leafOf(phone);
    clock.advance(LIMITS.certificateLifetimeMs);
    store.put(rowOf(phone, { readmittedUntil: clock.now() + LIMITS.readmissionMaxMs + 1 }));
    expect(registry.isReadmitting).toBe(false);
    expect(refusal([leaf])).toBe("certificate.expired");
  });

  it("knows authorities that have been left behind, and no stranger's", async () => {
    const leaf = await leafOf(phone);
    store.put(rowOf(phone, { readmittedUntil: clock.now() + 1_000 }));
    const key = generateTlsKey(random);
    const input = { key, gatehouseId: gatehouse.id, generation: 2, now: clock.now(), random };
    caCertificate = await createCaCertificate(input);
    everyCaCertificate = [caCertificate, ...everyCaCertificate];
    expect(registry.admit([leaf])).toMatchObject({ access: "renewal" });
    const stranger = { key: generateTlsKey(random), gatehouseId: gatehouse.id, generation: 1 };
    const other = await createCaCertificate({ ...stranger, now: clock.now(), random });
    const forged = await issueLeaf({
      ...{ usage: "device", deviceId: phone.id, gatehouseId: gatehouse.id, now: clock.now(), random },
      ...{ spki: phone.tls.spki, caCertificate: other, caKey: stranger.key },
    });
    expect(refusal([forged.der])).toBe("certificate.untrusted");
  });

  it("is nothing for another key, a revoked, a quarantined or a held device", async () => {
    const leaf = await leafOf(phone);
    clock.advance(LIMITS.certificateLifetimeMs);
    const readmittedUntil = clock.now() + 1_000;
    for (const state of ["revoked", "quarantined", "held"] as const) {
      store.put(rowOf(phone, { state, readmittedUntil }));
      expect(refusal([leaf])).toBe("certificate.expired");
    }
    store.put(rowOf(phone, { readmittedUntil, spkiSha256: sha256(laptop.tls.spki) }));
    expect(refusal([leaf])).toBe("certificate.expired");
  });
});

describe("finding a device", () => {
  it("goes by id in any spelling, by eight characters of it, and by name", () => {
    store.put(rowOf(phone, { name: "my phone" }));
    store.put(rowOf(laptop, { name: "my laptop" }));
    const spellings = [phone.id, formatDeviceId(phone.id).toUpperCase(), shortDeviceId(phone.id), "my phone"];
    for (const text of spellings) expect(registry.find(text).id).toBe(phone.id);
    expect(registry.find(phone.id.slice(0, 12)).id).toBe(phone.id);
  });

  it("fails for what nobody is called, and for less than eight characters of an id", () => {
    store.put(rowOf(phone));
    for (const text of ["nobody", "", phone.id.slice(0, 7), gatehouse.id]) {
      expect(() => registry.find(text)).toThrow(expect.objectContaining({ code: "device.not-found" }));
    }
  });

  it("is not fooled by a device that calls itself by another's id or short id", () => {
    store.put(rowOf(phone));
    store.put(rowOf(laptop, { name: shortDeviceId(phone.id) }));
    expect(() => registry.find(shortDeviceId(phone.id))).toThrow(
      expect.objectContaining({ code: "device.ambiguous" }),
    );
    store.put(rowOf(laptop, { name: phone.id }));
    expect(registry.find(phone.id).id).toBe(phone.id);
  });

  it("prefers the active one of two that had the same name", () => {
    store.put(rowOf(phone, { state: "revoked", revokedAt: 1 }));
    expect(registry.find("phone").id).toBe(phone.id);
    store.put(rowOf(laptop));
    expect(registry.find("phone").id).toBe(laptop.id);
    expect(registry.countOf("active")).toBe(1);
    expect(registry.list()).toHaveLength(2);
  });
});

describe("a change", () => {
  it("is told once to each listener that is still there", () => {
    const heard: string[] = [];
    store.put(rowOf(phone));
    store.put(rowOf(laptop));
    const listening = registry.onChange(({ id }) => heard.push(id));
    store.put(rowOf(phone, { state: "revoked", revokedAt: 1 }));
    expect(heard).toEqual([phone.id]);
    listening[Symbol.dispose]();
    store.put(rowOf(laptop, { state: "revoked", revokedAt: 2 }));
    expect(heard).toEqual([phone.id]);
    expect(registry.countOf("active")).toBe(0);
  });
});
