import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { systemClock, utf8 } from "../../src/core/index.ts";
import { parseSecretPath } from "../../src/vault/index.ts";
import { times } from "../support/effort.ts";
import { FileAudit } from "./file-audit.ts";
import { read, VaultPlace } from "./support.ts";

/** Lines that a child may print before each kill. */
const KILLED_AFTER = [211, 60, 150, 333, 97].slice(0, times({ short: 3, long: 5 }));

const CHILD = fileURLToPath(new URL("rotation-child.ts", import.meta.url));

/** Runs the child until it has printed `count` lines, kills it, and answers them. */
async function rotateAndKill(place: VaultPlace, audit: string, count: number): Promise<readonly string[]> {
  const args = ["--import", "tsx", CHILD, place.dir, place.keys, audit];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(child, "close");
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (lines.length === count) child.kill("SIGKILL");
  }
  await closed;
  return lines;
}

it("a rotation killed in the middle of its steps goes on, and every acknowledged value stays readable", {
  timeout: 120_000,
}, async () => {
  await using place = await VaultPlace.make();
  const audit = join(place.root, "audit");
  const acknowledged: string[] = [];
  const limits = { secretVersionsKept: 1_000_000 };
  let waiting = 0;
  for (const count of KILLED_AFTER) {
    acknowledged.push(...(await rotateAndKill(place, audit, count)));
    await using vault = await place.open({ clock: systemClock, audit: new FileAudit(audit), limits });
    waiting += vault.rotation.progress?.state === "waiting" ? 1 : 0;
    for (const line of acknowledged.filter((printed) => printed.startsWith("writer/"))) {
      const [path = "", version, value = ""] = line.split(" ");
      expect(await read(vault, parseSecretPath(path), Number(version))).toBe(value);
    }
  }
  expect(acknowledged.filter((line) => line.startsWith("rotating"))).not.toEqual([]);
  expect(waiting).toBeGreaterThan(0);
  await using vault = await place.open({ clock: systemClock, audit: new FileAudit(audit), limits });
  vault.rotation.resume({ ended: () => utf8("ended") });
  await vault.rotation.finished();
  expect(["done", undefined]).toContain(vault.rotation.progress?.state);
});
