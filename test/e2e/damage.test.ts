import { createHash } from "node:crypto";
import { copyFile, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { LIMITS, Resources, silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { Daemon as InProcess } from "../../src/daemon/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { times } from "../support/effort.ts";
import { Install } from "../support/gatehouse-process.ts";
import { OwnerDoor } from "../support/owner-door.ts";
import { treeDigest } from "../support/tree-digest.ts";

const SERVE = ["serve", "--listen", "127.0.0.1:0"];
/** Holds the last holder's process id, whether it got further or not. */
const LOCK = "lock";
const PLACES = times({ short: 2, long: 16 });

const resources = new Resources();
/** Stopped, with a snapshot and a journal after it. */
let install: Install;
let keyDir: string;

/** How a start in this process ends: the error's exit code and words. Far quicker than a process for each. */
async function startOutcome(): Promise<{ exit: unknown; message: string }> {
  try {
    await using daemon = await InProcess.start({
      ...{ home: install.home, keyDir, listen: [{ host: "127.0.0.1", port: 0 }], version: "0.0.0", pid: 1 },
      ...{ clock: systemClock, random: systemRandom, logger: silentLogger },
    });
    return { exit: 0, message: daemon.ready.name };
  } catch (failure) {
    const exit = failure instanceof Error && "exitCode" in failure ? failure.exitCode : undefined;
    return { exit, message: String(failure) };
  }
}

async function filesLike(dir: string, pattern: RegExp): Promise<readonly string[]> {
  const names = (await readdir(join(install.home, dir))).filter((name) => pattern.test(name));
  return names.sort().map((name) => join(install.home, dir, name));
}

async function keyFile(of: Install): Promise<string> {
  // After magic and format, the vault's header has its id, which names the file; the identity's lies beside it.
  const header = await readFile(join(of.home, "vault", "header"));
  const id = header.subarray(4, 20).toString("hex");
  return join(of.root, "config", "gatehouse", "keys", `${id}.kek`);
}

/** Writes so much that a snapshot is due, and waits until it has taken the journal's place. */
beforeAll(async () => {
  install = resources.use(await Install.create());
  const daemon = await install.serve(["--init"]);
  keyDir = join(install.root, "config", "gatehouse", "keys");
  {
    await using door = await OwnerDoor.open(install.home, daemon.port);
    const value = new Uint8Array(LIMITS.secretValueBytes).fill(7);
    for (let written = 0; written <= LIMITS.vaultJournalBytes; written += value.length) {
      await door.call(METHODS.Vault.Put, { path: "load/big", value });
    }
    await vi.waitUntil(() => daemon.stderr.includes('"vault-checkpoint"'), { timeout: 20_000 });
    for (const path of ["after/one", "after/two"]) {
      await door.call(METHODS.Vault.Put, { path, value: Buffer.from(path) });
    }
  }
  await daemon.stop("SIGTERM");
}, 60_000);

afterAll(() => resources[Symbol.asyncDispose]());

describe("a daemon that made a snapshot", () => {
  it("keeps one snapshot and the journal after it, and serves what both hold", async () => {
    expect((await filesLike("vault", /^snapshot-/)).map((path) => basename(path))).toEqual([
      "snapshot-0000000002",
    ]);
    expect((await filesLike("vault", /^journal-/)).map((path) => basename(path))).toEqual([
      "journal-0000000002",
    ]);
    await using daemon = await install.serve();
    await using door = await OwnerDoor.open(install.home, daemon.port);
    const big = await door.call(METHODS.Vault.Get, { path: "load/big" });
    expect(createHash("sha256").update(big.value).digest("hex")).toBe(
      createHash("sha256").update(Buffer.alloc(LIMITS.secretValueBytes, 7)).digest("hex"),
    );
    const after = await door.call(METHODS.Vault.Get, { path: "after/two" });
    expect(Buffer.from(after.value).toString()).toBe("after/two");
    await daemon.stop("SIGTERM");
  });

  it.each([
    ["vault", /^snapshot-/],
    ["vault", /^journal-/],
    ["vault", /^header$/],
    ["audit", /^segment-/],
  ])(
    "does not start on a flipped byte anywhere in %s %o: exit 9 with the file's name",
    async (dir, pattern) => {
      const [file = ""] = await filesLike(dir, pattern);
      const bytes = await readFile(file);
      const before = await treeDigest(install.home, [LOCK]);
      const places = Array.from({ length: PLACES }, (_, index) =>
        Math.floor((index * (bytes.length - 1)) / (PLACES - 1)),
      );
      for (const place of places) {
        const damaged = Uint8Array.from(bytes);
        damaged[place] = (damaged[place] ?? 0) ^ 0x20;
        await writeFile(file, damaged);
        const { exit, message } = await startOutcome();
        expect({ place, exit, names: message.includes(basename(file)) }).toEqual({
          place,
          exit: 9,
          names: true,
        });
      }
      const result = await install.run([...SERVE, "--json"]);
      expect(result.exitCode).toBe(9);
      expect(result.stdout.toString()).toContain(basename(file));
      await writeFile(file, bytes);
      // Not one of the refusals has changed anything; whole again, it starts.
      expect(await treeDigest(install.home, [LOCK])).toEqual(before);
      expect(await startOutcome()).toMatchObject({ exit: 0 });
    },
    40_000,
  );
});

describe("the key file", () => {
  it("of another vault gets 8 and changes nothing; the right one then opens the home", async () => {
    await using other = await Install.create();
    await other.json(["init"]);
    const [path, before] = [await keyFile(install), await treeDigest(install.home, [LOCK])];
    const right = await readFile(path);
    await copyFile(await keyFile(other), path);
    expect(await install.outcome(SERVE)).toEqual({ exit: 8, code: "vault.wrong-key" });
    // With this vault's id in front, and the check bytes right: only the key itself is another one.
    const forged = Buffer.from(await readFile(path));
    right.copy(forged, 7, 7, 23);
    createHash("sha256").update(forged.subarray(0, 55)).digest().copy(forged, 55, 0, 8);
    await writeFile(path, forged);
    expect(await install.outcome(SERVE)).toEqual({ exit: 8, code: "vault.wrong-key" });
    expect(await treeDigest(install.home, [LOCK])).toEqual(before);
    await writeFile(path, right);
    expect(await startOutcome()).toMatchObject({ exit: 0 });
  });

  it("gets 8 when it is missing, and 9 naming the vault when it is damaged or cut", async () => {
    const path = await keyFile(install);
    const right = await readFile(path);
    await rm(path);
    expect(await install.outcome(SERVE)).toEqual({ exit: 8, code: "vault.key-missing" });
    const changed = Buffer.from(right);
    changed[40] = (changed[40] ?? 0) ^ 1;
    for (const bytes of [changed, right.subarray(0, 30), Buffer.concat([right, Buffer.from("x")])]) {
      await writeFile(path, bytes, { mode: 0o600 });
      const result = await install.run([...SERVE, "--json"]);
      expect({ exit: result.exitCode, code: result.errorCode }).toEqual({ exit: 9, code: "file.damaged" });
      expect(result.stdout.toString()).toContain(basename(path, ".kek"));
    }
    await writeFile(path, right);
    expect(await startOutcome()).toMatchObject({ exit: 0 });
  });
});
