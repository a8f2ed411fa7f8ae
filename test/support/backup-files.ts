/** Takes backups apart and seals them anew, as anybody can who knows a recipient. */
import { createHash } from "node:crypto";
import { Decrypter, Encrypter } from "age-encryption";
import { writeArchive } from "../../src/backup/archive.ts";
import { type ArchiveEntry, readArchive } from "../../src/backup/untar.ts";
import { utf8 } from "../../src/core/index.ts";

export async function* inOne(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

export async function bytesOf(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(new Uint8Array(chunk));
  return new Uint8Array(Buffer.concat(all));
}

/** By name, in their order. */
export async function entriesOf(sealed: Uint8Array, identity: string): Promise<Map<string, Uint8Array>> {
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  const entries = new Map<string, Uint8Array>();
  for await (const { name, bytes } of readArchive(inOne(await decrypter.decrypt(sealed)))) {
    entries.set(name, await bytesOf(bytes));
  }
  return entries;
}

export async function sealedAnew(
  entries: Iterable<readonly [string, Uint8Array]>,
  recipient: string,
): Promise<Uint8Array> {
  const all = async function* (): AsyncGenerator<ArchiveEntry> {
    for (const [name, bytes] of entries) yield { name, sizeBytes: bytes.length, bytes: [bytes] };
  };
  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  return await encrypter.encrypt(await bytesOf(writeArchive(all(), 0)));
}

/** With the list in its manifest as it would be of these entries: what a forger writes, too. */
export function listedAnew(entries: Map<string, Uint8Array>): Map<string, Uint8Array> {
  const manifest: Record<string, unknown> = JSON.parse(
    Buffer.from(entries.get("manifest.json") ?? []).toString(),
  );
  const listed = [...entries].filter(([name]) => !name.startsWith("manifest"));
  manifest["entries"] = listed.map(([name, bytes]) => ({
    ...{ name, sizeBytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") },
  }));
  return entries.set("manifest.json", utf8(JSON.stringify(manifest)));
}
