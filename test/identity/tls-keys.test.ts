import { createPrivateKey, createPublicKey, verify } from "node:crypto";
import { chmod, copyFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { hex, systemRandom, utf8 } from "../../src/core/index.ts";
import { DeviceIdentity, type TlsIdentity, verifyTlsBinding } from "../../src/identity/index.ts";
import type { KeyProvider } from "../../src/keystore/index.ts";
import { treeDigest } from "../support/tree-digest.ts";
import { bytesOf, create, damages, overwrite, Place, ringFiles } from "./support.ts";

const reopen = (dir: string, keys?: KeyProvider): Promise<DeviceIdentity> =>
  DeviceIdentity.open(dir, { keys });
const known = ({ tlsKeys }: DeviceIdentity): readonly string[] =>
  tlsKeys.map(({ spkiSha256 }) => hex(spkiSha256));
const oneOf = (keys: readonly TlsIdentity[], at: number): TlsIdentity => {
  const key = keys.at(at);
  if (key === undefined) throw new Error(`no TLS key ${at}`);
  return key;
};

describe.each(["open", "sealed"] as const)("an identity's TLS keys (%s)", (form) => {
  const keysOf = (place: Place): KeyProvider | undefined => (form === "sealed" ? place.keys : undefined);

  it("are newest first, also after a restart, and each is found by its SPKI or its hash", async () => {
    await using place = await Place.make();
    const dir = place.home();
    const identity = await create(dir, keysOf(place));
    const added = [identity.tls];
    for (let count = 0; count < 5; count += 1) {
      const next = await identity.addTlsKey(dir);
      expect(identity.tls).toBe(next);
      added.unshift(next);
    }
    const again = await reopen(dir, keysOf(place));
    expect(known(again)).toEqual(added.map(({ spkiSha256 }) => hex(spkiSha256)));
    expect(again.id).toBe(identity.id);
    for (const { spki, spkiSha256, privateKeyPem } of added) {
      for (const found of [again.tlsFor(spki), again.tlsFor(spkiSha256)]) {
        expect(found?.privateKeyPem).toBe(privateKeyPem);
      }
    }
    expect(again.tlsFor(new Uint8Array(32))).toBeUndefined();
    expect(again.tlsFor(new Uint8Array())).toBeUndefined();
  });

  it("are each bound to the identity, sign, and lie in a file of their own that nobody else may read", async () => {
    await using place = await Place.make();
    const dir = place.home();
    const identity = await create(dir, keysOf(place));
    const { spkiSha256 } = await identity.addTlsKey(dir);
    const name = `tls-${hex(spkiSha256).slice(0, 16)}.key`;
    expect(await ringFiles(dir)).toEqual([name]);
    expect((await stat(join(dir, name))).mode & 0o777).toBe(0o600);
    const { tls } = await reopen(dir, keysOf(place));
    const binding = { identityKey: identity.publicKey, spki: tls.spki, signature: tls.publicBinding };
    expect(verifyTlsBinding(binding)).toBe(true);
    const publicKey = createPublicKey(createPrivateKey(tls.privateKeyPem));
    expect(verify("sha256", utf8("hello"), publicKey, tls.sign(utf8("hello")))).toBe(true);
    const key = Buffer.from(
      createPrivateKey(tls.privateKeyPem).export({ format: "jwk" }).d ?? "",
      "base64url",
    );
    expect(Buffer.from(await bytesOf(dir, name)).includes(key)).toBe(false);
    await chmod(join(dir, name), 0o644);
    await expect(reopen(dir, keysOf(place))).rejects.toMatchObject({ code: "home.bad-permissions" });
  });

  it("are dropped one by one, the first one too, but never the last", async () => {
    await using place = await Place.make();
    const dir = place.home();
    const identity = await create(dir, keysOf(place));
    for (let count = 0; count < 3; count += 1) await identity.addTlsKey(dir);
    const [newest = "", second = "", third = "", first = ""] = known(identity);
    const expectLeft = async (...left: readonly string[]): Promise<void> => {
      expect(known(identity)).toEqual(left);
      expect(known(await reopen(dir, keysOf(place)))).toEqual(left);
    };
    await identity.dropTlsKey(dir, Buffer.from(second, "hex"));
    await expectLeft(newest, third, first);
    await identity.dropTlsKey(dir, Buffer.from(first, "hex"));
    await expectLeft(newest, third);
    await identity.dropTlsKey(dir, Buffer.from(third, "hex"));
    await expectLeft(newest);
    await identity.dropTlsKey(dir, Buffer.from(third, "hex"));
    await expect(identity.dropTlsKey(dir, Buffer.from(newest, "hex"))).rejects.toThrow(RangeError);
    await expectLeft(newest);
    expect((await reopen(dir, keysOf(place))).id).toBe(identity.id);
    await identity.addTlsKey(dir);
    expect(known(await reopen(dir, keysOf(place)))[1]).toBe(newest);
  });

  it("that are dropped are in no file any more", async () => {
    await using place = await Place.make();
    const dir = place.home();
    const identity = await create(dir, keysOf(place));
    const dropped = [identity.tls];
    for (let count = 0; count < 3; count += 1) dropped.push(await identity.addTlsKey(dir));
    await identity.addTlsKey(dir);
    for (const { spkiSha256 } of dropped) await identity.dropTlsKey(dir, spkiSha256);
    expect(await ringFiles(dir)).toHaveLength(1);
    // Whatever opens now, it does not hold them.
    const again = await reopen(dir, keysOf(place));
    expect(dropped.filter(({ spki }) => again.tlsFor(spki) !== undefined)).toEqual([]);
    await rm(join(dir, (await ringFiles(dir))[0] ?? ""));
    expect(known(await reopen(dir, keysOf(place)))).toEqual(known(again));
  });

  it("are refused with any byte of a file changed, cut anywhere, or with bytes added, naming the file", async () => {
    await using place = await Place.make();
    const dir = place.home();
    const identity = await create(dir, keysOf(place));
    await identity.addTlsKey(dir);
    const [name = ""] = await ringFiles(dir);
    const good = await bytesOf(dir, name);
    for (const bytes of damages(good)) {
      await overwrite(dir, name, bytes);
      await expect(reopen(dir, keysOf(place))).rejects.toMatchObject({
        ...{ code: "identity.damaged", exitCode: 9, message: `the identity file ${name} is damaged` },
      });
    }
    await overwrite(dir, name, good);
    expect((await reopen(dir, keysOf(place))).tlsKeys).toHaveLength(2);
  });

  it("of another identity, or under another's name, are refused, naming the file", async () => {
    await using place = await Place.make();
    const [dir, other] = [place.home(), place.home()];
    const identity = await create(dir, keysOf(place));
    await identity.addTlsKey(dir);
    const [own = ""] = await ringFiles(dir);
    const stranger = await create(other, keysOf(place));
    await stranger.addTlsKey(other);
    const [foreign = ""] = await ringFiles(other);
    await copyFile(join(other, foreign), join(dir, foreign));
    await expect(reopen(dir, keysOf(place))).rejects.toMatchObject({
      ...{ code: "identity.damaged", message: expect.stringContaining(foreign) },
    });
    await rename(join(dir, foreign), join(dir, own));
    await expect(reopen(dir, keysOf(place))).rejects.toMatchObject({
      ...{ code: "identity.damaged", message: expect.stringContaining(own) },
    });
    // A good key twice: the second name is not its own.
    await rm(join(dir, own));
    await (await reopen(dir, keysOf(place))).addTlsKey(dir);
    const [fresh = ""] = await ringFiles(dir);
    await copyFile(join(dir, fresh), join(dir, "tls-0000000000000000.key"));
    await expect(reopen(dir, keysOf(place))).rejects.toMatchObject({
      message: expect.stringContaining("tls-0000000000000000.key"),
    });
  });

  it("outlive any step of a change that a crash cut short", async () => {
    await using place = await Place.make();
    const dir = place.home();
    const identity = await create(dir, keysOf(place));
    const [first, second] = [identity.tls, await identity.addTlsKey(dir)];
    const before = await bytesOf(dir, "identity.key");
    const [name = ""] = await ringFiles(dir);
    const file = await bytesOf(dir, name);
    // A key written and never used, and half of another one's temporary file.
    await overwrite(dir, `.${name}.${"0".repeat(32)}.tmp`, file.subarray(0, 40));
    expect(known(await reopen(dir, keysOf(place)))).toEqual(
      [second, first].map(({ spkiSha256 }) => hex(spkiSha256)),
    );
    await identity.dropTlsKey(dir, first.spkiSha256);
    // The identity file as it was before the first key was dropped: the change did not reach the disk.
    await overwrite(dir, "identity.key", before);
    expect((await reopen(dir, keysOf(place))).tls.spki).toEqual(second.spki);
    await (await reopen(dir, keysOf(place))).dropTlsKey(dir, first.spkiSha256);
    expect(known(await reopen(dir, keysOf(place)))).toEqual([hex(second.spkiSha256)]);
  });
});

describe("an identity's TLS keys", () => {
  it("may be changed by several calls at once", async () => {
    await using place = await Place.make();
    const dir = place.home();
    const identity = await create(dir);
    const { spkiSha256 } = identity.tls;
    await Promise.all([
      ...[1, 2, 3].map(() => identity.addTlsKey(dir)),
      identity.dropTlsKey(dir, spkiSha256),
      identity.addTlsKey(dir),
    ]);
    expect(identity.tlsKeys).toHaveLength(4);
    expect(known(await reopen(dir))).toEqual(known(identity));
  });

  it("are kept when they are needed or the newest, and the others dropped in one go", async () => {
    await using place = await Place.make();
    const dir = place.home();
    const identity = await create(dir);
    for (let count = 0; count < 4; count += 1) await identity.addTlsKey(dir);
    const [newest, needed] = [identity.tls, oneOf(identity.tlsKeys, 2)];
    await identity.dropTlsKeysBut(dir, [needed.spkiSha256, new Uint8Array(32)]);
    expect(identity.tlsKeys).toEqual([newest, needed]);
    expect(known(await reopen(dir))).toEqual(known(identity));
    await identity.dropTlsKeysBut(dir, []);
    expect(known(await reopen(dir))).toEqual([hex(newest.spkiSha256)]);
  });

  it("cannot be piled up without end", async () => {
    await using place = await Place.make();
    const dir = place.home();
    const identity = await create(dir);
    for (let count = 1; count < 16; count += 1) await identity.addTlsKey(dir);
    const before = await treeDigest(dir);
    await expect(identity.addTlsKey(dir)).rejects.toThrow("16 TLS keys; drop one first");
    expect(await treeDigest(dir)).toEqual(before);
  });

  it("are changed only where the identity came from", async () => {
    await using place = await Place.make();
    const [dir, other] = [place.home(), place.home()];
    const identity = await create(dir);
    await create(other);
    const inMemory = DeviceIdentity.generate(systemRandom);
    for (const work of [
      () => identity.addTlsKey(other),
      () => identity.dropTlsKey(other, identity.tls.spkiSha256),
      () => inMemory.addTlsKey(dir),
    ]) {
      await expect(work()).rejects.toThrow(RangeError);
    }
    expect(inMemory.tlsKeys).toEqual([inMemory.tls]);
    expect(await ringFiles(other)).toEqual([]);
  });

  it("are not dropped when another identity has taken the folder meanwhile", async () => {
    await using place = await Place.make();
    const [dir, other] = [place.home(), place.home()];
    const identity = await create(dir);
    await identity.addTlsKey(dir);
    await create(other);
    await copyFile(join(other, "identity.key"), join(dir, "identity.key"));
    const before = await treeDigest(dir);
    const oldest = oneOf(identity.tlsKeys, -1);
    await expect(identity.dropTlsKey(dir, oldest.spkiSha256)).rejects.toMatchObject({
      code: "identity.damaged",
    });
    expect(await treeDigest(dir)).toEqual(before);
    expect(identity.tlsKeys).toHaveLength(2);
  });

  it("are sealed again by who drops the first one after another process has sealed the identity", async () => {
    await using place = await Place.make();
    const dir = place.home();
    await create(dir);
    const daemon = await DeviceIdentity.open(dir, { keys: place.keys });
    await daemon.addTlsKey(dir);
    await daemon.dropTlsKey(dir, oneOf(daemon.tlsKeys, -1).spkiSha256);
    expect(await DeviceIdentity.sealedBy(dir)).toBe("key-file");
    expect(known(await reopen(dir, place.keys))).toEqual(known(daemon));
  });
});
