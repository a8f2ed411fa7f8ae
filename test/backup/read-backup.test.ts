import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { generateIdentity, identityToRecipient } from "age-encryption";
import { beforeAll, describe, expect, it } from "vitest";
import { type ArchiveEntry, type ReadBackup, readBackup, writeBackup } from "../../src/backup/index.ts";
import { isGatehouseError, systemRandom, utf8 } from "../../src/core/index.ts";
import { agree, agreementPublicKey, generateAgreementKey } from "../../src/crypto/index.ts";
import { formatRecipient } from "../../src/keystore/index.ts";
import { bytesOf, entriesOf, inOne, listedAnew, sealedAnew } from "../support/backup-files.ts";

let identity: string;
let recipient: string;
let signer: KeyObject;
/** Made once: its entries by name, in their order. */
let made: ReadonlyMap<string, Uint8Array>;

const LINES = [
  { path: "a/b", version: 1, value: Buffer.from("first").toString("base64") },
  { path: "a/b", version: 2, value: Buffer.from("second").toString("base64") },
];

beforeAll(async () => {
  identity = await generateIdentity();
  recipient = await identityToRecipient(identity);
  signer = generateKeyPairSync("ed25519").privateKey;
  made = await entriesOf(await sealedFor([recipient]), identity);
});

async function sealedFor(recipients: readonly string[]): Promise<Uint8Array> {
  const homeFiles = async function* (): AsyncGenerator<ArchiveEntry> {
    for (const name of ["boot", "vault/header"])
      yield { name, sizeBytes: 4, bytes: [utf8(name.slice(0, 4))] };
  };
  const manifest = {
    ...{
      createdAt: 5,
      gatehouse: { id: "hall", name: "hall" },
      vaultId: "00",
      sequence: 7,
      revocationEpoch: 0,
    },
  };
  const file = await writeBackup(
    {
      ...{ manifest, homeFiles: homeFiles(), versions: LINES.map((line) => utf8(JSON.stringify(line))) },
      ...{ restoreKey: utf8("AGE-SECRET-KEY-1"), sign: (bytes) => new Uint8Array(sign(null, bytes, signer)) },
    },
    recipients,
  );
  return await bytesOf(file);
}

const forged = (entries: Iterable<readonly [string, Uint8Array]>) => sealedAnew(entries, recipient);

async function read(
  sealed: Uint8Array,
  key: Parameters<typeof readBackup>[1] = identity,
): Promise<ReadBackup> {
  return await readBackup(inOne(sealed), key, { file: async (_path, bytes) => void (await bytesOf(bytes)) });
}

async function refusal(
  sealed: Uint8Array,
  key?: Parameters<typeof readBackup>[1],
): Promise<string | undefined> {
  try {
    await read(sealed, key);
    return undefined;
  } catch (failure) {
    return isGatehouseError(failure) ? failure.code : `not a typed error: ${String(failure)}`;
  }
}

const replaced = (name: string, bytes: Uint8Array): Map<string, Uint8Array> => new Map(made).set(name, bytes);
const without = (name: string): Map<string, Uint8Array> => {
  const rest = new Map(made);
  rest.delete(name);
  return rest;
};

describe("a backup that is read", () => {
  it("tells what was written, in any hand that it was sealed by", async () => {
    const { manifest, signature, manifestBytes } = await read(await forged(made));
    expect(manifest).toMatchObject({ sequence: 7, versions: 2, gatehouse: { id: "hall" } });
    expect(manifest.entries.map(({ name }) => name)).toEqual([...made.keys()].slice(0, -2));
    expect(signature).toEqual(new Uint8Array(sign(null, manifestBytes, signer)));
  });

  it("is refused with an entry changed, missing, added, or in another order", async () => {
    for (const name of made.keys()) {
      if (name === "manifest.sig") continue;
      const bytes = new Uint8Array(made.get(name) ?? []);
      bytes.fill((bytes[0] ?? 0) ^ 1, 0, 1);
      expect([name, await refusal(await forged(replaced(name, bytes)))]).toEqual([name, "backup.damaged"]);
      expect([name, await refusal(await forged(without(name)))]).toEqual([name, "backup.damaged"]);
    }
    expect(await refusal(await forged(without("manifest.sig")))).toBe("backup.damaged");
    const reordered = [...[...made].slice(1), ...[...made].slice(0, 1)];
    expect(await refusal(await forged(reordered))).toBe("backup.damaged");
    expect(await refusal(await forged([["evil", utf8("x")], ...made]))).toBe("backup.damaged");
    expect(await refusal(await forged([["home/extra", utf8("x")], ...made]))).toBe("backup.damaged");
    expect(await refusal(await forged([...made, ["home/late", utf8("x")]]))).toBe("backup.damaged");
  });

  it("is refused when lines of its secrets are none, and with a manifest that is none", async () => {
    for (const line of ["{", "[]", "3", '{"path":"a"}', '{"path":"a","version":-1,"value":""}', "{}\n{}"]) {
      const entries = listedAnew(replaced("secrets/00001.jsonl", utf8(`${line}\n`)));
      expect([line, await refusal(await forged(entries))]).toEqual([line, "backup.damaged"]);
    }
    const unended = listedAnew(replaced("secrets/00001.jsonl", utf8(JSON.stringify(LINES[0]))));
    expect(await refusal(await forged(unended))).toBe("backup.damaged");
    for (const text of ["", "null", "[]", "{}", '{"format":1}']) {
      const failure = await refusal(await forged(replaced("manifest.json", utf8(text))));
      expect([text, failure]).toEqual([text, "backup.damaged"]);
    }
  });

  it("of a later format says so", async () => {
    expect(await refusal(await forged(replaced("manifest.json", utf8('{"format":2}'))))).toBe(
      "backup.unknown-format",
    );
  });

  it("opens by a device's own key that it was made for, and by no other device's", async () => {
    const [own, other] = [generateAgreementKey(systemRandom), generateAgreementKey(systemRandom)];
    const keyOf = (key: KeyObject) => ({
      publicKey: agreementPublicKey(key),
      agree: (publicKey: Uint8Array) => agree(key, publicKey),
    });
    const sealed = await sealedFor([recipient, formatRecipient(agreementPublicKey(own))]);
    expect((await read(sealed, keyOf(own))).manifest.sequence).toBe(7);
    expect(await refusal(sealed, keyOf(other))).toBe("backup.wrong-key");
    expect(await refusal(sealed, await generateIdentity())).toBe("backup.wrong-key");
  });
});
