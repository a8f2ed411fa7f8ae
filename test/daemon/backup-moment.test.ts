import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { generateIdentity, identityToRecipient } from "age-encryption";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Client, connect, METHODS } from "../../src/client/index.ts";
import { silentLogger, systemClock, systemRandom, utf8 } from "../../src/core/index.ts";
import { type Daemon, verifyBackup } from "../../src/daemon/index.ts";
import { PairedHomes } from "../client/paired-homes.ts";

const DEVICES = 6;

let homes: PairedHomes;
let daemon: Daemon;

beforeEach(async () => {
  homes = await PairedHomes.create();
  daemon = await homes.serve("hall");
  for (let index = 0; index < DEVICES; index += 1) await homes.pair(daemon, `d${index}`);
});
afterEach(() => homes[Symbol.asyncDispose]());

async function backup(owner: Client, recipient: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const { bytes } of owner.stream(METHODS.Backup.Create, { recipients: [recipient] })) {
    if (bytes !== undefined && bytes !== null) chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

it("is of one moment, though devices are revoked and secrets put at any moment of its making", async () => {
  const key = await generateIdentity();
  const recipient = await identityToRecipient(key);
  await using owner = await connect({ home: homes.home("hall") });
  const epochs: number[] = [];
  for (let index = 0; index < DEVICES; index += 1) {
    const making = backup(owner, recipient);
    // A revocation in each of the first phases: before the capture, in it, after it.
    await new Promise((resolve) => setTimeout(resolve, index * 15));
    const changes = [
      owner.call(METHODS.Device.Revoke, { device: `d${index}` }),
      owner.call(METHODS.Vault.Put, { path: `shared/${index}`, value: utf8("1") }),
    ];
    const file = join(homes.dir, `${index}.age`);
    await writeFile(file, await making);
    await Promise.all(changes);
    const { manifest } = await verifyBackup({
      ...{ file, key, clock: systemClock, random: systemRandom, logger: silentLogger },
    });
    expect([index, index + 1]).toContain(manifest.revocationEpoch);
    epochs.push(manifest.revocationEpoch);
  }
  expect(epochs).toHaveLength(DEVICES);
});
