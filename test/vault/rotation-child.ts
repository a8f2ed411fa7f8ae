// Rotates keys over and over beside its puts, until it is killed.
// Prints `<path> <version> <value>` once each put is acknowledged, and `rotating <kind>` for each rotation begun.
import { writeSync } from "node:fs";
import { argv } from "node:process";
import { systemClock, systemRandom, utf8 } from "../../src/core/index.ts";
import { keyFileProvider, parseSecretPath, type RotationKind, Vault } from "../../src/vault/index.ts";
import { FileAudit } from "./file-audit.ts";

const PATHS = 20;
const KINDS: readonly RotationKind[] = ["deks", "kek"];
const [dir = "", keys = "", audit = ""] = argv.slice(2);

const vault = await Vault.openOrCreate({
  ...{ dir, clock: systemClock, audit: new FileAudit(audit) },
  kek: keyFileProvider({ dir: keys, random: systemRandom }),
  limits: { journalTransactions: 200, secretVersionsKept: 1_000_000 },
});
const wish = { ended: () => utf8("ended") };
if (vault.rotation.resume(wish)) writeSync(1, "resumed\n");

async function rotateForEver(): Promise<never> {
  for (let index = 0; ; index += 1) {
    await vault.rotation.finished();
    const kind = KINDS[index % KINDS.length] ?? "kek";
    await vault.rotation.begin(kind, wish, { audit: utf8("begin") });
    writeSync(1, `rotating ${kind}\n`);
  }
}

async function writeForEver(): Promise<never> {
  for (let count = 0; ; count += 1) {
    const path = `writer/${count % PATHS}`;
    const value = `${count}-${"x".repeat(count % 50)}`;
    const { version } = await vault.secrets.put(
      { path: parseSecretPath(path), value: utf8(value), createdBy: "child" },
      { audit: utf8(path) },
    );
    writeSync(1, `${path} ${version} ${value}\n`);
  }
}

await Promise.all([rotateForEver(), writeForEver()]);
