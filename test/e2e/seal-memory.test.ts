import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Resources } from "../../src/core/index.ts";
import { times } from "../support/effort.ts";
import { type Daemon, Install } from "../support/gatehouse-process.ts";
import { searchMemory } from "../support/memory-search.ts";

const GETS = times({ short: 2, long: 5 });
const SECRETS = [
  ["3 KiB", 3_072],
  ["32 bytes", 32],
  ["300 KiB", 307_200],
] as const;
/** A whole one may have lost its first or last bytes to the allocator; any half of it is as bad. */
const PIECE_BYTES = 16;

/** Places in the daemon's memory of the value's beginning, middle or end: of that with the most. */
function placesOf({ pid }: Daemon, value: Uint8Array): number {
  const starts = [0, Math.floor(value.length / 2), value.length - PIECE_BYTES];
  const pieces = starts.map((start) => value.subarray(start, start + PIECE_BYTES));
  return Math.max(...pieces.map((piece) => searchMemory(pid, piece).found.length));
}

describe.runIf(process.platform === "linux")("after a seal the daemon's memory", () => {
  it.each(SECRETS.slice(0, times({ short: 1, long: 3 })))(
    "holds no copy of a secret of %s that was put and got before",
    // Freed memory is written over, not all of it each time: what stays once does not stay twice.
    { timeout: 60_000, retry: 2 },
    async (label, sizeBytes) => {
      await using resources = new Resources();
      const install = resources.use(await Install.create());
      const daemon = resources.use(await install.serve(["--init"]));
      const value = randomBytes(sizeBytes);
      await install.json(["vault", "put", "shared/canary"], value);
      for (let round = 0; round < GETS; round += 1) {
        expect((await install.run(["vault", "get", "shared/canary"])).stdout.equals(value)).toBe(true);
      }
      const before = placesOf(daemon, value);
      expect(await install.json(["seal"])).toEqual({ state: "sealed" });
      const after = placesOf(daemon, value);
      process.stderr.write(`a secret of ${label} in memory: ${before} before the seal, ${after} after\n`);
      expect(after).toBe(0);
      expect(await install.json(["unseal"])).toEqual({ state: "serving", wasSealed: true });
      expect((await install.run(["vault", "get", "shared/canary"])).stdout.equals(value)).toBe(true);
    },
  );

  it("holds no copy of the passphrase that unsealed it, before it is sealed again and after", async () => {
    await using resources = new Resources();
    const install = resources.use(await Install.create());
    const passphrase = randomBytes(24).toString("base64url");
    const file = join(install.root, "passphrase");
    await writeFile(file, `${passphrase}\n`, { mode: 0o600 });
    const key = ["--kek-passphrase-file", file];
    await install.json(["init", "--kek", "passphrase", ...key]);
    const daemon = resources.use(await install.serve(key));
    await install.json(["seal"]);
    await install.json(["unseal", ...key]);
    expect(placesOf(daemon, Buffer.from(passphrase))).toBe(0);
    await install.json(["seal"]);
    expect(placesOf(daemon, Buffer.from(passphrase))).toBe(0);
  }, 60_000);

  it("is searched by a search that finds what is there", () => {
    const needle = randomBytes(PIECE_BYTES);
    const copy = Buffer.allocUnsafeSlow(4_096);
    needle.copy(copy, 100);
    expect(searchMemory(process.pid, needle).found.length).toBeGreaterThanOrEqual(1);
    expect(copy.includes(needle)).toBe(true);
  });
});
