import { createPrivateKey } from "node:crypto";
import { chmod, cp, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { concat, systemRandom, utf8 } from "../../src/core/index.ts";
import { sha256 } from "../../src/crypto/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import { type KeyProvider, passphraseProvider } from "../../src/keystore/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { bytesOf, create, damages, overwrite, Place } from "./support.ts";

const FILE = "identity.key";

describe("a sealed identity", () => {
  it("is the same whenever it is opened with its key, and says in clear only what kind of key that is", async () => {
    await using place = await Place.make();
    const dir = place.home();
    const made = await create(dir, place.keys);
    for (const again of [
      await create(dir, place.keys),
      await DeviceIdentity.open(dir, { keys: place.keys }),
    ]) {
      expect(again.id).toBe(made.id);
      expect(again.tls.privateKeyPem).toBe(made.tls.privateKeyPem);
      expect(again.agreement.publicKey).toEqual(made.agreement.publicKey);
    }
    expect(await DeviceIdentity.sealedBy(dir)).toBe("key-file");
    expect((await stat(join(dir, FILE))).mode & 0o777).toBe(0o600);
    const text = (await readFile(join(dir, FILE))).toString("latin1");
    expect(text.startsWith("GHI\x02\x08key-file\x20")).toBe(true);
    const keyId = text.slice(14, 46);
    expect(await readdir(join(place.root, "keys"))).toEqual([`${keyId}.kek`]);
  });

  it("is not opened without a key, with a hint at the kind", async () => {
    await using place = await Place.make();
    const dir = place.home();
    await create(dir, place.keys);
    for (const work of [() => DeviceIdentity.open(dir), () => create(dir)]) {
      await expect(work()).rejects.toMatchObject({
        ...{ code: "key.missing", exitCode: 8, hint: "say where its key is kept: --kek keyfile" },
      });
    }
  });

  it("is not opened with a key of another kind, or with another key of the kind", async () => {
    await using place = await Place.make();
    const dir = place.home();
    await create(dir, place.keys);
    const before = await bytesOf(dir, FILE);
    const { key } = await place.keysIn("more").create("some-key");
    const otherKey: KeyProvider = { ...place.keys, load: async () => key };
    const otherKind: KeyProvider = { ...place.keys, kind: "keyring" };
    for (const keys of [otherKey, otherKind]) {
      for (const work of [() => DeviceIdentity.open(dir, { keys }), () => create(dir, keys)]) {
        await expect(work()).rejects.toMatchObject({ code: "key.wrong", exitCode: 8 });
      }
    }
    expect(await bytesOf(dir, FILE)).toEqual(before);
  });

  it("copied without its key file opens nowhere", async () => {
    await using place = await Place.make();
    const [dir, copy] = [place.home(), place.home()];
    const identity = await create(dir, place.keys);
    await identity.addTlsKey(dir);
    await cp(dir, copy, { recursive: true });
    await chmod(copy, 0o700);
    const elsewhere = place.keysIn("elsewhere");
    await create(place.home(), elsewhere);
    await expect(DeviceIdentity.open(copy, { keys: elsewhere })).rejects.toMatchObject({
      code: "key.missing",
    });
    await expect(create(copy, elsewhere)).rejects.toMatchObject({ code: "key.missing" });
    await expect(DeviceIdentity.open(copy)).rejects.toMatchObject({ code: "key.missing" });
    expect((await DeviceIdentity.open(copy, { keys: place.keys })).id).toBe(identity.id);
  });

  it("leaves nothing secret in the home, further TLS keys included", async () => {
    await using place = await Place.make();
    const dir = place.home();
    const chances: Buffer[] = [];
    const watched = { bytes: (length: number) => kept(chances, systemRandom.bytes(length)) };
    const identity = await DeviceIdentity.openOrCreate(dir, { random: watched, keys: place.keys });
    await identity.addTlsKey(dir, { random: watched });
    const secrets = [...chances, ...identity.tlsKeys.map(({ privateKeyPem }) => scalarOf(privateKeyPem))];
    expect(secrets.length).toBeGreaterThanOrEqual(8);
    const home = await filesIn(dir);
    const found = secrets.filter((secret) => formsOf(secret).some((form) => home.includes(form)));
    // The salts of what is sealed, and the name of the key, are meant to be read.
    expect(found.map((bytes) => bytes.length)).toEqual([16, 32, 32]);
    const openHome = place.home();
    const open = await DeviceIdentity.openOrCreate(openHome, { random: systemRandom });
    // The same search does find what lies open.
    expect((await filesIn(openHome)).includes(scalarOf(open.tls.privateKeyPem))).toBe(true);
  });

  it("is refused as damaged with any byte changed, cut anywhere, or with bytes added, and never replaced", async () => {
    await using place = await Place.make();
    const dir = place.home();
    await create(dir, place.keys);
    const good = await bytesOf(dir, FILE);
    for (const bytes of damages(good)) {
      await overwrite(dir, FILE, bytes);
      await expect(create(dir, place.keys)).rejects.toMatchObject({
        ...{ code: "identity.damaged", exitCode: 9, message: expect.stringContaining(FILE) },
      });
    }
    // Without a key, too, it is not the key that is said to be missing.
    await overwrite(dir, FILE, good.subarray(0, -1));
    await expect(DeviceIdentity.open(dir)).rejects.toMatchObject({ code: "identity.damaged" });
    await overwrite(dir, FILE, good);
    expect((await DeviceIdentity.open(dir, { keys: place.keys })).id).toHaveLength(56);
  });

  it("opens with no byte changed by somebody who makes the hash right again", async () => {
    await using place = await Place.make();
    const dir = place.home();
    await create(dir, place.keys);
    const good = await bytesOf(dir, FILE);
    const body = good.subarray(0, -32);
    const codes = new Set<unknown>();
    for (let at = 0; at < body.length; at += 1) {
      const forged = Uint8Array.from(body);
      forged[at] = (forged[at] ?? 0) ^ 1;
      await overwrite(dir, FILE, concat(forged, sha256(forged)));
      const failure: unknown = await create(dir, place.keys).then(
        () => `opened with byte ${at} changed`,
        (error: unknown) => error,
      );
      codes.add(failure instanceof Error && "code" in failure ? failure.code : failure);
    }
    expect(codes).toEqual(new Set(["identity.damaged", "key.wrong", "key.missing"]));
  });

  it("opens with its passphrase, and with no other", async () => {
    await using place = await Place.make();
    const dir = place.home();
    const asked: string[] = [];
    const says = (text: string): KeyProvider =>
      passphraseProvider({
        random: systemRandom,
        ask: async ({ purpose }) => {
          asked.push(purpose);
          return utf8(text);
        },
      });
    const made = await create(dir, says("correct horse battery"));
    // Set, and once given back before anything relies on it.
    expect(asked).toEqual(["create", "open"]);
    expect(await DeviceIdentity.sealedBy(dir)).toBe("passphrase");
    const again = await DeviceIdentity.open(dir, { keys: says("correct horse battery") });
    expect(again.id).toBe(made.id);
    await expect(DeviceIdentity.open(dir, { keys: says("incorrect horse") })).rejects.toMatchObject({
      code: "key.wrong",
    });
  });
});

describe("a sealed identity that several make at once", () => {
  it("is one and the same for all", async () => {
    await using place = await Place.make();
    const dir = place.home();
    const made = await Promise.all([1, 2, 3, 4].map(() => create(dir, place.keys)));
    const { id } = await DeviceIdentity.open(dir, { keys: place.keys });
    expect(new Set(made.map((identity) => identity.id))).toEqual(new Set([id]));
  });
});

describe("an identity that lies open", () => {
  it("is sealed by whoever opens it with a key provider, and is the same after", async () => {
    await using place = await Place.make();
    for (const reopen of [create, (dir: string, keys: KeyProvider) => DeviceIdentity.open(dir, { keys })]) {
      const dir = place.home();
      const made = await create(dir);
      const added = await made.addTlsKey(dir);
      expect(await DeviceIdentity.sealedBy(dir)).toBeUndefined();
      const scalar = scalarOf(made.tlsKeys[1]?.privateKeyPem ?? "");
      expect((await filesIn(dir)).includes(scalar)).toBe(true);
      const sealed = await reopen(dir, place.keys);
      expect(await DeviceIdentity.sealedBy(dir)).toBe("key-file");
      expect((await filesIn(dir)).includes(scalar)).toBe(false);
      for (const identity of [sealed, await DeviceIdentity.open(dir, { keys: place.keys })]) {
        expect(identity.id).toBe(made.id);
        expect(identity.tls.spki).toEqual(added.spki);
        expect(identity.tlsKeys).toHaveLength(2);
      }
    }
  });

  it("stays as it is when the provider makes no key, or does not give back the one it made", async () => {
    await using place = await Place.make();
    const dir = place.home();
    const made = await create(dir);
    const before = await bytesOf(dir, FILE);
    const { key } = await place.keys.create("unrelated");
    const failing: readonly (readonly [KeyProvider, string])[] = [
      [{ ...place.keys, create: () => Promise.reject(new Error("no key")) }, "no key"],
      [{ ...place.keys, load: () => Promise.reject(new Error("forgotten")) }, "forgotten"],
      [{ ...place.keys, load: async () => key }, "came back another (key-file)"],
    ];
    for (const [keys, message] of failing) {
      await expect(DeviceIdentity.open(dir, { keys })).rejects.toThrow(message);
      expect(await bytesOf(dir, FILE)).toEqual(before);
    }
    expect((await DeviceIdentity.open(dir)).id).toBe(made.id);
    // Attempts that failed leave keys that nothing uses, and stand in nobody's way.
    expect((await DeviceIdentity.open(dir, { keys: place.keys })).id).toBe(made.id);
  });

  it("may be sealed by several at once, and all of them go on", async () => {
    await using place = await Place.make();
    const dir = place.home();
    const made = await create(dir);
    const opened = await Promise.all([1, 2, 3, 4].map(() => DeviceIdentity.open(dir, { keys: place.keys })));
    expect(new Set(opened.map(({ id }) => id))).toEqual(new Set([made.id]));
    expect((await DeviceIdentity.open(dir, { keys: place.keys })).id).toBe(made.id);
  });
});

describe("which key an identity is sealed with", () => {
  it("is unknown where there is none, and refused where the file is damaged", async () => {
    await using place = await Place.make();
    const dir = place.home();
    expect(await DeviceIdentity.sealedBy(dir)).toBeUndefined();
    await create(dir, place.keys);
    await overwrite(dir, FILE, (await bytesOf(dir, FILE)).subarray(0, 60));
    await expect(DeviceIdentity.sealedBy(dir)).rejects.toMatchObject({ code: "identity.damaged" });
  });

  it("cannot be taken over from another identity", async () => {
    await using place = await Place.make();
    const [one, other] = [place.home(), place.home()];
    await DeviceIdentity.openOrCreate(one, { random: new SeededRandom(1), keys: place.keys });
    await DeviceIdentity.openOrCreate(other, { random: new SeededRandom(2), keys: place.keys });
    const [a, b] = [await bytesOf(one, FILE), await bytesOf(other, FILE)];
    // Magic, kind, id and parameters of the other, and what was sealed for the one; the hash made right.
    const mixed = concat(b.subarray(0, 50), a.subarray(50, -32));
    await overwrite(one, FILE, concat(mixed, sha256(mixed)));
    await expect(create(one, place.keys)).rejects.toMatchObject({ code: "key.wrong" });
  });
});

function kept(chances: Buffer[], bytes: Uint8Array): Uint8Array {
  chances.push(Buffer.from(bytes));
  return bytes;
}

/** The 32 bytes that are the private key. */
function scalarOf(pem: string): Buffer {
  const { d = "" } = createPrivateKey(pem).export({ format: "jwk" });
  return Buffer.from(d, "base64url");
}

function formsOf(bytes: Buffer): readonly (Buffer | string)[] {
  const base64 = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString("base64")
      .slice(4, 36),
  );
  return [bytes, bytes.toString("hex"), ...base64];
}

async function filesIn(dir: string): Promise<Buffer> {
  const names = await readdir(dir);
  return Buffer.concat(await Promise.all(names.map((name) => readFile(join(dir, name)))));
}
