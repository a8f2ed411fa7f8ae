/**
 * Makes a vault of today's formats in the folder named: `npx tsx test/vault/golden/make.ts DIR`. The vaults beside this
 * file were made by it, or by what it was before, when their formats were the newest; they are never made again.
 */
import { cp, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { argv } from "node:process";
import { utf8 } from "../../../src/core/index.ts";
import { passphraseProvider, recoveryRecipient } from "../../../src/keystore/index.ts";
import { localCheckpointer, parseSecretPath, systemFiles, type Vault } from "../../../src/vault/index.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { event, put, remove, VaultPlace } from "../support.ts";
import { GOLDEN_PASSPHRASE, goldenRecoveryKey } from "./keys.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const WISH = { ended: () => utf8("rotated") };

/** Everything before the snapshot. */
async function fillFirst(vault: Vault): Promise<void> {
  const { keys, secrets } = vault;
  await keys.addSlot(
    passphraseProvider({ random: place.random, ask: async () => utf8(GOLDEN_PASSPHRASE) }),
    2,
  );
  const { recipient } = goldenRecoveryKey();
  await keys.addSlot(recoveryRecipient({ recipient, random: place.random }), 3);
  for (const text of ["one", "two", "three"]) await put(vault, "shared/first", text);
  await put(vault, "shared/large", "x".repeat(20_000));
  for (const text of ["old", "removed"]) await put(vault, "shared/removed", text);
  await remove(vault, "shared/removed");
  await put(vault, "shared/undeleted", "back again");
  await remove(vault, "shared/undeleted");
  await secrets.undelete({ path: parseSecretPath("shared/undeleted") }, event());
  for (const text of ["first", "second", "third"]) await put(vault, "shared/destroyed", text);
  await secrets.destroy({ path: parseSecretPath("shared/destroyed"), version: 2 }, event());
  await put(vault, "shared/gone", "destroyed whole");
  await secrets.destroy({ path: parseSecretPath("shared/gone") }, event());
  await vault.rotation.begin("kek", WISH, event());
  await vault.rotation.finished();
}

/** What stays in the journal after it. */
async function fillSecond(vault: Vault): Promise<void> {
  const labels = { owner: "team-a", tier: "gold" };
  const base = { createdBy: "maker", contentType: "text/plain", labels };
  const path = parseSecretPath("shared/labelled");
  await vault.secrets.put({ ...base, path, value: utf8("labelled") }, event());
  for (const [name, ttlMs] of [
    ["expired", MINUTE_MS],
    ["lasting", 3650 * DAY_MS],
  ] as const) {
    const input = { path: parseSecretPath(`shared/${name}`), value: utf8(name), ttlMs, createdBy: "maker" };
    await vault.secrets.put(input, event());
  }
  await put(vault, "shared/first", "four");
  await vault.settings.set("golden/setting", Uint8Array.of(1, 2, 3));
  const replay = {
    principal: "p",
    requestId: utf8("id"),
    requestHash: utf8("hash"),
    reply: () => utf8("reply"),
  };
  await vault.secrets.put(
    { path: parseSecretPath("shared/replayed"), value: utf8("once"), createdBy: "maker" },
    { audit: utf8("event"), replay },
  );
  await vault.devices.add(
    {
      ...{ id: "d".repeat(56), name: "phone", kind: "phone", platform: "test", role: "reader", pairedAt: 5 },
      ...{ identityKey: new Uint8Array(32).fill(1), spkiSha256: new Uint8Array(32).fill(2) },
      certificate: { serial: "ab", expiresAt: 9, generation: 1 },
    },
    event(),
  );
}

const [, , target = ""] = argv;
if (target === "") throw new Error("name a folder");

await using place = await VaultPlace.make();
const checkpointer = localCheckpointer({ files: systemFiles, random: new SeededRandom(8) });
{
  await using vault = await place.open({ checkpointer });
  await fillFirst(vault);
}
{
  await using vault = await place.open({ checkpointer });
  await fillSecond(vault);
}
await mkdir(target, { recursive: true });
for (const name of await readdir(place.keys)) await cp(join(place.keys, name), join(target, name));
for (const name of await readdir(place.dir)) await cp(join(place.dir, name), join(target, name));
console.info(`the audit log heard of everything up to sequence ${place.audit.lastJournalSequence}`);
