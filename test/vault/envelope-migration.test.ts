import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ByteReader, ByteWriter, concat, copyOf, utf8 } from "../../src/core/index.ts";
import { LABELS, sealOnce } from "../../src/crypto/index.ts";
import { gatehouse } from "../../src/gen/index.ts";
import { bindingOf, hashOf, type Kek } from "../../src/vault/envelope.ts";
import { ENVELOPE_READERS, type EnvelopeReader } from "../../src/vault/envelope-formats.ts";
import {
  type Change,
  openVaultKeyring,
  parseSecretPath,
  type RotationKind,
  type Vault,
} from "../../src/vault/index.ts";
import { event, put, read, VaultPlace } from "./support.ts";

const { StoredSecret, StoredVersion } = gatehouse.v1;
const OLD = 0;
const RANGE = { after: "", before: "\x7f", limit: 100 };
const WRAPPED_AT = 24;
const VALUE_AT = 20;

/** A format that never was: no suite, and the id before the term. */
const oldReader: EnvelopeReader = {
  wrapped: (bytes) => {
    const header = bytes.subarray(0, WRAPPED_AT);
    const reader = new ByteReader(header.subarray(4));
    return { dekId: reader.raw(16), term: reader.u32(), header, sealed: bytes.subarray(WRAPPED_AT) };
  },
  value: (bytes) => ({ header: bytes.subarray(0, VALUE_AT), sealed: bytes.subarray(VALUE_AT) }),
};

beforeAll(() => {
  if (ENVELOPE_READERS instanceof Map) ENVELOPE_READERS.set(OLD, oldReader);
});

afterAll(() => {
  if (ENVELOPE_READERS instanceof Map) ENVELOPE_READERS.delete(OLD);
});

interface Sealing {
  readonly place: VaultPlace;
  readonly kek: Kek;
  readonly binding: Uint8Array;
  readonly value: Uint8Array;
}

function sealedInOldFormat({ place, kek, binding, value }: Sealing) {
  const { random } = place;
  const [dek, dekId] = [random.bytes(32), random.bytes(16)];
  const keyHeader = new ByteWriter().raw(utf8("GHK")).u8(OLD).raw(dekId).u32(kek.term).finish();
  const header = new ByteWriter().raw(utf8("GHV")).u8(OLD).raw(dekId).finish();
  const common = { associatedData: binding, random };
  const key = { ...common, key: kek.key, label: LABELS.vaultWrappedKey, header: keyHeader, plaintext: dek };
  const sealed = sealOnce({ ...common, key: dek, label: LABELS.vaultValue, header, plaintext: value });
  return { wrappedKey: concat(keyHeader, sealOnce(key)), sealedValue: concat(header, sealed) };
}

/** Every version of every path as a gatehouse would have left it whose newest format was the old one. */
async function makeOld(place: VaultPlace, vault: Vault): Promise<void> {
  const { vaultId, kek } = await openVaultKeyring(place.dir, place.kek, { random: place.random });
  let [path, previousHash]: [string, Uint8Array] = ["", new Uint8Array()];
  for (const { key, body } of vault.store.list("version", RANGE)) {
    const stored = StoredVersion.decode(body);
    const { version, createdAt, contentType } = stored;
    const name = parseSecretPath(key.slice(0, key.indexOf("#")));
    if (name !== path) [path, previousHash] = [name, new Uint8Array()];
    const { value } = await vault.secrets.get(name, version);
    const binding = bindingOf({ vaultId, path, version, createdAt, contentType, previousHash });
    const { wrappedKey, sealedValue } = sealedInOldFormat({ place, kek, binding, value });
    const isInline = stored.sealedValue.length > 0;
    Object.assign(stored, {
      previousHash,
      wrappedKey,
      sealedValue: isInline ? sealedValue : new Uint8Array(),
    });
    previousHash = copyOf(hashOf(sealedValue));
    const head = StoredSecret.decode(vault.store.get("secret", path)?.body ?? new Uint8Array());
    head.latestHash = previousHash;
    const changes: Change[] = [
      { kind: "put", space: "version", key, body: StoredVersion.encode(stored).finish() },
      { kind: "put", space: "secret", key: path, body: StoredSecret.encode(head).finish() },
    ];
    if (!isInline) changes.push({ kind: "put", space: "value", key, body: sealedValue });
    await vault.store.transact([path], () => ({ changes, events: [], result: undefined }));
  }
}

/** Format bytes of every wrapped key and value. */
function formats(vault: Vault): { readonly keys: readonly number[]; readonly values: readonly number[] } {
  const records = vault.store.list("version", RANGE).map(({ key, body }) => {
    const { wrappedKey, sealedValue } = StoredVersion.decode(body);
    const value = sealedValue.length > 0 ? sealedValue : vault.store.get("value", key)?.body;
    return { key: wrappedKey[3] ?? -1, value: value?.[3] ?? -1 };
  });
  return { keys: records.map(({ key }) => key), values: records.map(({ value }) => value) };
}

async function rotate(vault: Vault, kind: RotationKind): Promise<void> {
  await vault.rotation.begin(kind, { ended: () => utf8("ended") }, event());
  await vault.rotation.finished();
  expect(vault.rotation.progress).toMatchObject({ kind, state: "done" });
}

async function expectAll(vault: Vault): Promise<void> {
  expect(await read(vault, "a", 1)).toBe("one");
  expect(await read(vault, "a", 2)).toBe("two");
  expect(await read(vault, "large")).toBe("x".repeat(50_000));
}

async function filled(place: VaultPlace): Promise<void> {
  await using vault = await place.open();
  await put(vault, "a", "one");
  await put(vault, "a", "two");
  await put(vault, "large", "x".repeat(50_000));
  await makeOld(place, vault);
  expect(formats(vault)).toEqual({ keys: [OLD, OLD, OLD], values: [OLD, OLD, OLD] });
}

describe("a vault whose records are of an older format", () => {
  it("is read, and gets new versions in the newest beside the old ones", async () => {
    await using place = await VaultPlace.make();
    await filled(place);
    await using vault = await place.open();
    await expectAll(vault);
    await put(vault, "a", "three");
    expect(formats(vault)).toEqual({ keys: [OLD, OLD, 1, OLD], values: [OLD, OLD, 1, OLD] });
    expect(await read(vault, "a")).toBe("three");
    await expectAll(vault);
  });

  it("has its keys in the newest after a rotation of the KEK, and all of it after one of the DEKs", async () => {
    await using place = await VaultPlace.make();
    await filled(place);
    {
      await using vault = await place.open();
      await rotate(vault, "kek");
      expect(formats(vault)).toEqual({ keys: [1, 1, 1], values: [OLD, OLD, OLD] });
      await expectAll(vault);
      await rotate(vault, "deks");
      expect(formats(vault)).toEqual({ keys: [1, 1, 1], values: [1, 1, 1] });
    }
    await using vault = await place.open();
    await expectAll(vault);
    await put(vault, "a", "three");
    expect(await read(vault, "a")).toBe("three");
  });
});
