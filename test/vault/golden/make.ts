/**
 * Makes a small vault of today's formats in the folder named: `npx tsx test/vault/golden/make.ts DIR`. The vaults
 * beside this file were made by it when their formats were the newest; they are never made again.
 */
import { cp, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { argv } from "node:process";
import { localCheckpointer, systemFiles } from "../../../src/vault/index.ts";
import { put, VaultPlace } from "../support.ts";

const [, , target = ""] = argv;
if (target === "") throw new Error("name a folder");

await using place = await VaultPlace.make();
const checkpointer = localCheckpointer({ files: systemFiles, random: place.random });
const limits = { journalTransactions: 2 };
{
  await using vault = await place.open({ checkpointer, limits });
  await put(vault, "shared/first", "one");
  await put(vault, "shared/first", "two");
  await put(vault, "shared/large", "x".repeat(20_000));
}
{
  await using vault = await place.open();
  await put(vault, "shared/last", "three");
  await vault.settings.set("golden/setting", Uint8Array.of(1, 2, 3));
}
await mkdir(target, { recursive: true });
for (const name of await readdir(place.keys)) await cp(join(place.keys, name), join(target, name));
for (const name of await readdir(place.dir)) await cp(join(place.dir, name), join(target, name));
