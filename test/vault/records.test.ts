import { describe, expect, it } from "vitest";
import { fromUtf8, LIMITS, utf8 } from "../../src/core/index.ts";
import {
  AlreadyAnswered,
  type Mutation,
  type NewDevice,
  parseSecretPath,
  type Vault,
} from "../../src/vault/index.ts";
import { event, VaultPlace } from "./support.ts";

function requestId(index: number): Uint8Array {
  const id = new Uint8Array(16);
  new DataView(id.buffer).setUint32(0, index);
  return id;
}

function repeatable(principal: string, index: number, hash = "hash"): Mutation<{ readonly version: number }> {
  const reply = ({ version }: { readonly version: number }) => utf8(`version ${version}`);
  return {
    ...event("put"),
    replay: { principal, requestId: requestId(index), requestHash: utf8(hash), reply },
  };
}

async function putOnce(vault: Vault, mutation: Mutation<{ readonly version: number }>): Promise<number> {
  const input = { path: parseSecretPath("a"), value: utf8("x"), createdBy: "t" };
  return (await vault.secrets.put(input, mutation)).version;
}

describe("a remembered reply", () => {
  it("is committed with its change and outlives a restart", async () => {
    await using place = await VaultPlace.make();
    {
      await using vault = await place.open();
      expect(vault.replies.lookup("device", requestId(1))).toBeUndefined();
      await putOnce(vault, repeatable("device", 1));
    }
    await using vault = await place.open();
    const { requestHash, reply } = vault.replies.lookup("device", requestId(1)) ?? {};
    expect(fromUtf8(requestHash ?? new Uint8Array())).toBe("hash");
    expect(fromUtf8(reply ?? new Uint8Array())).toBe("version 1");
    expect(vault.replies.lookup("another", requestId(1))).toBeUndefined();
  });

  it("is given to a retry, even one that runs beside the first try; the change happens once", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const [first, second] = await Promise.allSettled([
      putOnce(vault, repeatable("device", 1)),
      putOnce(vault, repeatable("device", 1)),
    ]);
    expect(first).toMatchObject({ status: "fulfilled", value: 1 });
    expect(second).toMatchObject({ status: "rejected", reason: { reply: utf8("version 1") } });
    expect(second.status === "rejected" && second.reason instanceof AlreadyAnswered).toBe(true);
    expect(await vault.secrets.history(parseSecretPath("a"))).toHaveLength(1);
    expect(place.audit.entries).toHaveLength(1);
  });

  it("is refused to another request under the same id", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await putOnce(vault, repeatable("device", 1));
    await expect(putOnce(vault, repeatable("device", 1, "other"))).rejects.toMatchObject({
      code: "rpc.request-mismatch",
    });
    expect(await vault.secrets.history(parseSecretPath("a"))).toHaveLength(1);
  });

  it("is not kept of a change that did not happen", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const input = { path: parseSecretPath("a"), value: utf8("x"), createdBy: "t", ifVersion: 7 };
    await expect(vault.secrets.put(input, repeatable("device", 1))).rejects.toMatchObject({
      code: "vault.version-conflict",
    });
    expect(vault.replies.lookup("device", requestId(1))).toBeUndefined();
    expect(place.audit.entries).toHaveLength(0);
  });

  it("is forgotten after a day", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await putOnce(vault, repeatable("device", 1));
    place.clock.advance(LIMITS.rememberedRepliesMs - 1);
    expect(vault.replies.lookup("device", requestId(1))).toBeDefined();
    place.clock.advance(1);
    expect(vault.replies.lookup("device", requestId(1))).toBeUndefined();
    expect(await putOnce(vault, repeatable("device", 1))).toBe(2);
  });

  it("makes room: of each principal only the newest are kept, also after a restart", async () => {
    await using place = await VaultPlace.make();
    const surplus = 40;
    const isKept = (vault: Vault, index: number) =>
      vault.replies.lookup("device", requestId(index)) !== undefined;
    {
      await using vault = await place.open();
      await putOnce(vault, repeatable("other", 0));
      const all = Array.from({ length: LIMITS.rememberedReplies + surplus }, (_, index) => index);
      await Promise.all(all.map((index) => putOnce(vault, repeatable("device", index))));
      expect(all.filter((index) => isKept(vault, index)).length).toBeLessThanOrEqual(
        LIMITS.rememberedReplies,
      );
    }
    await using vault = await place.open();
    await putOnce(vault, repeatable("device", 5_000));
    expect(isKept(vault, surplus)).toBe(false);
    expect(isKept(vault, surplus + 1)).toBe(true);
    expect(isKept(vault, 5_000)).toBe(true);
    expect(vault.replies.lookup("other", requestId(0))).toBeDefined();
  });
});

function device(more: Partial<NewDevice> = {}): NewDevice {
  return {
    ...{ id: "a".repeat(56), name: "laptop", role: "owner", kind: "cli", platform: "linux" },
    ...{ identityKey: new Uint8Array(32).fill(1), spkiSha256: new Uint8Array(32).fill(2) },
    ...{ pairedAt: 1_700_000_000_000, certificate: certificate("0a") },
    ...more,
  };
}

function certificate(serial: string): NewDevice["certificate"] {
  return { serial, expiresAt: 1_702_592_000_000, generation: 1 };
}

/** What a device is right after it was added. */
function added({ role, certificate: first, ...fields }: NewDevice) {
  return {
    ...{ ...fields, roles: [role], certificates: [first], state: "active" },
    ...{ revokedAt: undefined, quarantinedAt: undefined, heldAt: undefined, readmittedUntil: undefined },
    ...{ nextSpkiSha256: undefined, lastSeen: undefined },
  };
}

const FIRST_KEY = new Uint8Array(32).fill(2);
const NEXT_KEY = new Uint8Array(32).fill(9);

function renew(vault: Vault, serial: string, spkiSha256 = FIRST_KEY, at = 1_700_000_000_000) {
  const renewed = { spkiSha256, certificate: certificate(serial), at };
  return vault.devices.renewed(device().id, renewed, event(), (row) => row);
}

describe("a device's keys", () => {
  it("are both good until the new one is used, and then only that", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await vault.devices.add(device(), event());
    await vault.devices.readmit(device().id, 99, event());
    await renew(vault, "0b", NEXT_KEY);
    expect(vault.devices.get(device().id)).toMatchObject({ spkiSha256: FIRST_KEY, nextSpkiSha256: NEXT_KEY });
    const { sequence } = vault;
    await vault.devices.used(device().id, new Uint8Array(32).fill(8), event());
    expect(vault.devices.get(device().id)).toMatchObject({ nextSpkiSha256: NEXT_KEY });
    await vault.devices.used(device().id, NEXT_KEY, event());
    expect(vault.devices.get(device().id)).toMatchObject({
      ...{ spkiSha256: NEXT_KEY, nextSpkiSha256: undefined, readmittedUntil: undefined },
    });
    expect(vault.sequence).toBeGreaterThan(sequence);
    // A copy of before would let the old key in.
    expect(vault.devices.epoch).toBe(1);
  });

  it("write nothing when nothing changes by their use", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await vault.devices.add(device(), event());
    const { sequence } = vault;
    await vault.devices.used(device().id, FIRST_KEY, event());
    expect(vault.sequence).toBe(sequence);
  });

  it("are certified eight times at once and no more, and again when certificates have run out", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await vault.devices.add(device(), event());
    for (let index = 1; index < 8; index += 1) await renew(vault, `0${index}`);
    await expect(renew(vault, "ff")).rejects.toMatchObject({ code: "rpc.overloaded" });
    await renew(vault, "ff", FIRST_KEY, certificate("").expiresAt);
    expect(vault.devices.get(device().id)?.certificates).toEqual([certificate("ff")]);
  });
});

describe("the epoch", () => {
  it("counts up with what takes a right away, and with nothing else", async () => {
    await using place = await VaultPlace.make();
    {
      await using vault = await place.open();
      const { devices } = vault;
      const epochs: number[] = [];
      const phone = device({ id: "b".repeat(56), name: "phone", role: "member" });
      await devices.add(device(), event());
      await devices.add(phone, event());
      await devices.grant(phone.id, "ci", event());
      await devices.rename(phone.id, "handset", event());
      epochs.push(devices.epoch);
      await devices.ungrant(phone.id, "ci", event());
      await devices.ungrant(phone.id, "ci", event());
      epochs.push(devices.epoch);
      await devices.quarantine(phone.id, 1, event());
      await devices.release(phone.id, event());
      epochs.push(devices.epoch);
      await devices.revoke(phone.id, 2, event());
      epochs.push(devices.epoch);
      expect(epochs).toEqual([0, 1, 2, 3]);
    }
    await using vault = await place.open();
    expect(vault.devices.epoch).toBe(3);
  });
});

describe("a restored gatehouse", () => {
  it("holds every device but one until each is released, whatever else they were", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const { devices } = vault;
    const [phone, desk] = ["b", "c"].map((letter) => device({ id: letter.repeat(56), name: letter }));
    for (const one of [device(), phone, desk]) if (one) await devices.add(one, event());
    await devices.quarantine("c".repeat(56), 1, event());
    const held = await devices.holdAll({ exceptId: device().id, at: 5, epochMin: 40 }, event());
    expect(held).toBe(2);
    expect(devices.list().map(({ state }) => state)).toEqual(["active", "held", "quarantined"]);
    expect(devices.epoch).toBe(41);
    await expect(devices.add(device({ id: "b".repeat(56), name: "b" }), event())).rejects.toMatchObject({
      code: "device.held",
    });
    await devices.release("b".repeat(56), event());
    await devices.release("c".repeat(56), event());
    expect(devices.list().map(({ state }) => state)).toEqual(["active", "active", "active"]);
  });
});

describe("taking a device's place", () => {
  it("revokes the one and adds the other in one moment", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const old = device({ id: "b".repeat(56), name: "phone", role: "member" });
    const fresh = device({ id: "c".repeat(56), name: "phone", role: "member", pairedAt: 1_700_000_000_009 });
    await vault.devices.add(device(), event());
    await vault.devices.add(old, event());
    const other = { replaces: device().id };
    await expect(vault.devices.add(fresh, event(), other)).rejects.toMatchObject({
      code: "device.not-found",
    });
    await vault.devices.add(fresh, event(), { replaces: old.id });
    expect(vault.devices.get(old.id)).toMatchObject({ state: "revoked", revokedAt: fresh.pairedAt });
    expect(vault.devices.get(fresh.id)?.state).toBe("active");
    expect(vault.devices.epoch).toBe(1);
  });

  it("is not for the last owner's", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await vault.devices.add(device(), event());
    const thief = device({ id: "c".repeat(56) });
    const taking = vault.devices.add(thief, event(), { replaces: device().id });
    await expect(taking).rejects.toMatchObject({ code: "device.last-owner" });
  });
});

describe("devices", () => {
  it("survive reopening as they were", async () => {
    await using place = await VaultPlace.make();
    const phone = device({ id: "b".repeat(56), name: "phone", role: "member", pairedAt: 1_700_000_000_001 });
    {
      await using vault = await place.open();
      await vault.devices.add(device(), event());
      await vault.devices.add(phone, event());
      await vault.devices.revoke(phone.id, 1_700_000_000_002, event());
      await vault.devices.grant(device().id, "ci", event());
      await vault.devices.readmit(device().id, 77, event());
      await vault.devices.saw(device().id, { at: 7, wire: "quic", address: "192.0.2.1" });
      await renew(vault, "0b", NEXT_KEY);
    }
    await using vault = await place.open();
    expect(vault.devices.list()).toEqual([
      {
        ...added(device()),
        ...{ roles: ["ci", "owner"], certificates: [certificate("0a"), certificate("0b")] },
        ...{ nextSpkiSha256: NEXT_KEY, readmittedUntil: 77 },
        lastSeen: { at: 7, wire: "quic", address: "192.0.2.1" },
      },
      { ...added(phone), state: "revoked", revokedAt: 1_700_000_000_002 },
    ]);
    expect(vault.devices.get(phone.id)?.state).toBe("revoked");
    expect(vault.devices.get("nobody")).toBeUndefined();
  });

  it("are told to subscribers once they are on disk", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const heard: string[] = [];
    {
      using _subscription = vault.devices.subscribe(({ name, state }) => heard.push(`${name} ${state}`));
      await vault.devices.add(device(), event());
      await vault.devices.add(device({ id: "b".repeat(56), name: "phone" }), event());
      await vault.devices.revoke(device().id, 1, event());
    }
    await vault.devices.revoke("b".repeat(56), 1, event()).catch(() => undefined);
    expect(heard).toEqual(["laptop active", "phone active", "laptop revoked"]);
  });

  it("stay quarantined over reopening and joining again, until they are released", async () => {
    await using place = await VaultPlace.make();
    const phone = device({ id: "b".repeat(56), name: "phone", role: "member" });
    {
      await using vault = await place.open();
      await vault.devices.add(device(), event());
      await vault.devices.add(phone, event());
      await vault.devices.quarantine(phone.id, 9, event());
    }
    await using vault = await place.open();
    expect(vault.devices.get(phone.id)).toMatchObject({ state: "quarantined", quarantinedAt: 9 });
    await expect(vault.devices.add(phone, event())).rejects.toMatchObject({ code: "device.quarantined" });
    const namesake = device({ id: "c".repeat(56), name: "phone" });
    await expect(vault.devices.add(namesake, event())).rejects.toMatchObject({ code: "device.name-taken" });
    const released = await vault.devices.release(phone.id, event());
    expect(released).toMatchObject({ state: "active", quarantinedAt: undefined });
    expect(vault.devices.get(phone.id)?.state).toBe("active");
    await vault.devices.add(phone, event());
  });

  it("are revoked for good from a quarantine too, and no longer count as owners in one", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const desk = device({ id: "c".repeat(56), name: "desk" });
    await vault.devices.add(device(), event());
    await vault.devices.add(desk, event());
    await vault.devices.quarantine(desk.id, 1, event());
    const last = { code: "device.last-owner" };
    await expect(vault.devices.revoke(device().id, 2, event())).rejects.toMatchObject(last);
    await expect(vault.devices.quarantine(device().id, 2, event())).rejects.toMatchObject(last);
    await vault.devices.revoke(desk.id, 3, event());
    expect(await vault.devices.release(desk.id, event())).toMatchObject({ state: "revoked" });
    expect(await vault.devices.quarantine(desk.id, 4, event())).toMatchObject({ state: "revoked" });
  });

  it("keep the last owner", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await vault.devices.add(device(), event());
    await vault.devices.add(device({ id: "b".repeat(56), name: "phone", role: "member" }), event());
    await expect(vault.devices.revoke(device().id, 1, event())).rejects.toMatchObject({
      code: "device.last-owner",
    });
    await expect(vault.devices.add(device({ role: "member" }), event())).rejects.toMatchObject({
      code: "device.last-owner",
    });
    await vault.devices.add(device({ id: "c".repeat(56), name: "desk" }), event());
    const both = await Promise.allSettled([
      vault.devices.revoke(device().id, 1, event()),
      vault.devices.revoke("c".repeat(56), 1, event()),
    ]);
    expect(both.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });

  it("refuse another key, a taken name and a revoked device; take a renewed join", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await vault.devices.add(device(), event());
    await vault.devices.add(device({ certificate: certificate("0c") }), event());
    // Both are good: a revocation list would have to name both.
    expect(vault.devices.get(device().id)?.certificates).toEqual([certificate("0a"), certificate("0c")]);
    const otherKey = device({ identityKey: new Uint8Array(32).fill(7) });
    await expect(vault.devices.add(otherKey, event())).rejects.toMatchObject({ code: "device.key-changed" });
    const sameName = device({ id: "b".repeat(56) });
    await expect(vault.devices.add(sameName, event())).rejects.toMatchObject({ code: "device.name-taken" });
    await vault.devices.add(device({ id: "c".repeat(56), name: "desk" }), event());
    await vault.devices.revoke(device().id, 1, event());
    await expect(vault.devices.add(device(), event())).rejects.toMatchObject({ code: "device.revoked" });
    await expect(renew(vault, "0d", NEXT_KEY)).rejects.toMatchObject({ code: "device.revoked" });
    await expect(vault.devices.revoke("nobody", 1, event())).rejects.toMatchObject({
      code: "device.not-found",
    });
    await vault.devices.add(sameName, event());
  });

  it("take no two of one name that are added together", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const both = await Promise.allSettled([
      vault.devices.add(device(), event()),
      vault.devices.add(device({ id: "b".repeat(56) }), event()),
    ]);
    expect(both.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });
});

describe("settings", () => {
  it("survive reopening, are listed by prefix, and can be removed", async () => {
    await using place = await VaultPlace.make();
    {
      await using vault = await place.open();
      for (const key of ["pairing/burnt", "pairing/paused", "epoch", "pairing"]) {
        await vault.settings.set(key, utf8(key));
      }
      await vault.settings.remove("pairing/paused", event("unpaused"));
    }
    await using vault = await place.open();
    expect(vault.settings.list("pairing/")).toEqual([{ key: "pairing/burnt", value: utf8("pairing/burnt") }]);
    expect(vault.settings.list("").map(({ key }) => key)).toEqual(["epoch", "pairing", "pairing/burnt"]);
    expect(vault.settings.get("pairing/paused")).toBeUndefined();
    expect(place.audit.entries).toHaveLength(1);
  });

  it("count without losing a step", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    const step = () => vault.settings.update("count", (value) => new Uint8Array([(value?.[0] ?? 0) + 1]));
    await Promise.all(Array.from({ length: 30 }, step));
    expect(vault.settings.get("count")).toEqual(new Uint8Array([30]));
  });

  it("refuse malformed keys and values that are too large", async () => {
    await using place = await VaultPlace.make();
    await using vault = await place.open();
    await expect(vault.settings.set("", utf8("x"))).rejects.toThrow(RangeError);
    await expect(vault.settings.set("ä", utf8("x"))).rejects.toThrow(RangeError);
    const tooLarge = new Uint8Array(LIMITS.vaultSettingBytes + 1);
    await expect(vault.settings.set("a", tooLarge)).rejects.toThrow(RangeError);
  });
});

describe("what the vault seals for others", () => {
  it("opens under the same label and nowhere else, also after a restart", async () => {
    await using place = await VaultPlace.make();
    await using other = await VaultPlace.make();
    other.random.bytes(1);
    await using stranger = await other.open();
    let sealed: Uint8Array;
    {
      await using vault = await place.open();
      sealed = vault.sealSmall("gatehouse/v1/ca/signing-key", utf8("a key"));
      const [one, two] = [
        vault.deriveKey("gatehouse/v1/audit/record"),
        vault.deriveKey("gatehouse/v1/ca/signing-key"),
      ];
      expect(one.equals(two)).toBe(false);
    }
    await using vault = await place.open();
    expect(vault.openSmall("gatehouse/v1/ca/signing-key", sealed)).toEqual(utf8("a key"));
    expect(vault.openSmall("gatehouse/v1/audit/record", sealed)).toBeUndefined();
    expect(stranger.openSmall("gatehouse/v1/ca/signing-key", sealed)).toBeUndefined();
    sealed[40] = (sealed[40] ?? 0) ^ 1;
    expect(vault.openSmall("gatehouse/v1/ca/signing-key", sealed)).toBeUndefined();
  });
});
