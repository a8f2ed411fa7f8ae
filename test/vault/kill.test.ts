import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { systemClock } from "../../src/core/index.ts";
import { parseFolderPath, parseSecretPath, type Vault } from "../../src/vault/index.ts";
import { FileAudit } from "./file-audit.ts";
import { read, VaultPlace } from "./support.ts";

const CHILD = fileURLToPath(new URL("kill-child.ts", import.meta.url));

interface Acknowledged {
  readonly path: string;
  readonly version: number;
  readonly value: string;
}

/** Runs the child until it has acknowledged `count` puts, kills it, and answers all that it acknowledged. */
async function loadAndKill(
  place: VaultPlace,
  audit: string,
  count: number,
): Promise<readonly Acknowledged[]> {
  const args = ["--import", "tsx", CHILD, place.dir, place.keys, audit];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(child, "close");
  const acknowledged: Acknowledged[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const [path = "", version = "", value = ""] = line.split(" ");
    acknowledged.push({ path, version: Number(version), value });
    if (acknowledged.length === count) child.kill("SIGKILL");
  }
  await closed;
  return acknowledged;
}

async function checkGapless(vault: Vault): Promise<number> {
  const { secrets } = await vault.secrets.list({ prefix: parseFolderPath("writer"), limit: 1_000 });
  let stored = 0;
  for (const { path, version } of secrets) {
    const history = await vault.secrets.history(path);
    expect(history.map((entry) => entry.version)).toEqual(
      Array.from({ length: version }, (_, index) => version - index),
    );
    stored += history.length;
  }
  return stored;
}

it("a writer killed in the middle of its work loses nothing that it acknowledged", {
  timeout: 60_000,
}, async () => {
  await using place = await VaultPlace.make();
  const audit = join(place.root, "audit");
  const acknowledged: Acknowledged[] = [];
  for (const count of [40, 333, 150]) {
    acknowledged.push(...(await loadAndKill(place, audit, count)));
    const log = new FileAudit(audit);
    const options = { clock: systemClock, audit: log, limits: { secretVersionsKept: 1_000_000 } };
    await using vault = await place.open(options);
    for (const { path, version, value } of acknowledged) {
      expect(await read(vault, parseSecretPath(path), version)).toBe(value);
    }
    const stored = await checkGapless(vault);
    expect(stored).toBeGreaterThanOrEqual(acknowledged.length);
    // Each change has its audit record and each audit record its change, numbered without a gap.
    expect(log.lines().map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: stored }, (_, index) => index + 1),
    );
  }
  expect(acknowledged.length).toBeGreaterThanOrEqual(523);
});
