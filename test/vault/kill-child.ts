// Writes to a vault as fast as it can, from several callers at once, until it is killed.
// Prints `<path> <version> <value>` once each put is acknowledged.
import { writeSync } from "node:fs";
import { argv } from "node:process";
import { systemClock, systemRandom, utf8 } from "../../src/core/index.ts";
import { keyFileProvider, parseSecretPath, Vault } from "../../src/vault/index.ts";
import { FileAudit } from "./file-audit.ts";

const WRITERS = 8;
const [dir = "", keys = "", audit = ""] = argv.slice(2);

const vault = await Vault.openOrCreate({
  ...{ dir, clock: systemClock, audit: new FileAudit(audit) },
  kek: keyFileProvider({ dir: keys, random: systemRandom }),
  limits: { journalTransactions: 200, secretVersionsKept: 1_000_000 },
});

async function writeForEver(writer: number): Promise<never> {
  for (let count = 0; ; count += 1) {
    const path = `writer/${writer}/${count % 3}`;
    const value = `${writer}-${count}-${"x".repeat(count % 50)}`;
    const { version } = await vault.secrets.put(
      { path: parseSecretPath(path), value: utf8(value), createdBy: "child" },
      { audit: utf8(path) },
    );
    // Straight to the pipe: what is printed was acknowledged before the kill.
    writeSync(1, `${path} ${version} ${value}\n`);
  }
}

await Promise.all(Array.from({ length: WRITERS }, (_, writer) => writeForEver(writer)));
