import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, cp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Resources } from "../../src/core/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { isLong, times } from "../support/effort.ts";
import { Install } from "../support/gatehouse-process.ts";
import { OwnerDoor } from "../support/owner-door.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { valueFor, WRITER_PATH } from "../support/writer-process.ts";

const WRITERS = 4;
const ACKNOWLEDGED = 200;
/** Puts by the command line: each a process of its own. */
const COMMANDS = times({ short: 8, long: 32 });
const FLIPS_PER_FILE = times({ short: 2, long: 8 });

const resources = new Resources();
let install: Install;

/** A copy of the stopped home, to be damaged; its keys are those of the original. */
async function copyHome(): Promise<Install> {
  const copy = resources.use(await Install.create());
  await cp(install.root, copy.root, { recursive: true });
  return copy;
}

/** The vault's journals and snapshots, in order. */
async function vaultFiles(of: Install): Promise<readonly string[]> {
  const dir = join(of.home, "vault");
  const names = await readdir(dir);
  return names
    .filter((name) => /^(?:journal|snapshot)-/.test(name))
    .sort()
    .map((name) => join(dir, name));
}

/** Collects acknowledged paths of `writers` until `count` are there, then goes on collecting. */
function acknowledgements(writers: readonly ChildProcess[], count: number) {
  const paths: string[] = [];
  const enough = new Promise<void>((resolve) => {
    for (const { stdout } of writers) {
      if (stdout === null) throw new TypeError("a writer without output");
      createInterface({ input: stdout }).on("line", (line) => {
        paths.push((JSON.parse(line) as { path: string }).path);
        if (paths.length === count) resolve();
      });
    }
  });
  return { paths, enough };
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

beforeAll(async () => {
  install = resources.use(await Install.create());
});

afterAll(() => resources[Symbol.asyncDispose]());

describe("an acknowledged put", () => {
  it("survives kill -9 in the middle of four processes writing", async () => {
    const daemon = resources.use(await install.serve(["--init"]));
    const writers = Array.from({ length: WRITERS }, (_, index) =>
      spawn(
        process.execPath,
        ["--import", "tsx", WRITER_PATH, install.home, String(daemon.port), `load/w${index}`],
        { stdio: ["ignore", "pipe", "inherit"] },
      ),
    );
    for (const writer of writers) resources.defer(() => void writer.kill("SIGKILL"));
    const gone = writers.map((writer) => once(writer, "close"));
    const { paths, enough } = acknowledgements(writers, ACKNOWLEDGED);
    await enough;
    expect(await daemon.stop("SIGKILL")).toBeNull();
    // A writer that waits for an answer learns of the death by its own deadline at the latest: not worth waiting for.
    for (const writer of writers) writer.kill("SIGTERM");
    await Promise.all(gone);

    await using again = await install.serve();
    await using door = await OwnerDoor.open(install.home, again.port);
    const lost: string[] = [];
    for (const path of paths) {
      const { value } = await door.call(METHODS.Vault.Get, { path });
      if (!Buffer.from(value).equals(valueFor(path))) lost.push(path);
    }
    expect(paths.length).toBeGreaterThanOrEqual(ACKNOWLEDGED);
    expect(lost).toEqual([]);
    expect(new Set(paths.map((path) => path.split("/")[1])).size).toBe(WRITERS);
    expect(await again.stop("SIGKILL")).toBeNull();
  }, 60_000);

  it.runIf(isLong)(
    "of the command line survives kill -9 in the middle of four loops of it",
    async () => {
      const daemon = resources.use(await install.serve(["--init"]));
      const done: string[] = [];
      const { promise: enough, resolve } = deferred();
      /** Puts one after the other, each a process, until the first that fails. */
      const loop = async (prefix: string): Promise<unknown> => {
        for (let index = 0; ; index += 1) {
          const path = `${prefix}/${index}`;
          const put = await install.run(["vault", "put", path, "--timeout", "3s"], valueFor(path));
          if (put.exitCode !== 0) return put.exitCode;
          done.push(path);
          if (done.length === COMMANDS) resolve();
        }
      };
      const loops = Array.from({ length: WRITERS }, (_, index) => loop(`cli/w${index}`));
      await enough;
      expect(await daemon.stop("SIGKILL")).toBeNull();
      // Not there, or it is not known whether it was stored; never a success.
      for (const exit of await Promise.all(loops)) expect([6, 12]).toContain(exit);

      await using again = await install.serve();
      await using door = await OwnerDoor.open(install.home, again.port);
      for (const path of done) {
        const { value, version } = await door.call(METHODS.Vault.Get, { path });
        expect({ path, version, isSame: Buffer.from(value).equals(valueFor(path)) }).toEqual({
          ...{ path, version: 1, isSame: true },
        });
      }
      expect(new Set(done.map((path) => path.split("/")[1])).size).toBe(WRITERS);
      const [first = ""] = done;
      expect((await install.run(["vault", "get", first])).stdout.equals(valueFor(first))).toBe(true);
      expect(await again.stop("SIGKILL")).toBeNull();
    },
    60_000,
  );

  it("is not harmed when the journal ends inside the record after it: the rest is cut there", async () => {
    const copy = await copyHome();
    const first = await copy.serve();
    await copy.json(["vault", "put", "tail/kept"], "kept");
    await copy.json(["vault", "put", "tail/torn"], "torn");
    await first.stop("SIGKILL");
    const journal =
      (await vaultFiles(copy)).filter((file) => basename(file).startsWith("journal-")).at(-1) ?? "";
    const { length } = await readFile(journal);
    await truncate(journal, length - 3);

    await using second = await copy.serve();
    expect((await copy.run(["vault", "get", "tail/kept"])).stdout.toString()).toBe("kept");
    expect(await copy.json(["vault", "put", "tail/after"], "after")).toMatchObject({ version: 1 });
    expect(second.isRunning).toBe(true);
  });
});

describe("a vault with one flipped bit", () => {
  it("is refused with exit 9 and the file's name, wherever the bit is", async () => {
    const random = new SeededRandom(9);
    const copy = await copyHome();
    const files = await vaultFiles(copy);
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) {
      const kept = `${copy.root}/kept`;
      await copyFile(file, kept);
      const bytes = await readFile(file);
      const places = [
        0,
        bytes.length - 1,
        ...Array.from({ length: FLIPS_PER_FILE }, () => random.next()),
      ].map((place) => (place < 1 ? Math.floor(place * bytes.length) : place));
      for (const place of places) {
        const damaged = Uint8Array.from(bytes);
        damaged[place] = (damaged[place] ?? 0) ^ (1 << Math.floor(random.next() * 8));
        await writeFile(file, damaged);
        const result = await copy.run(["serve", "--json", "--listen", "127.0.0.1:0"]);
        expect(result.exitCode, `${basename(file)} at ${place}`).toBe(9);
        expect(result.stdout.toString(), `${basename(file)} at ${place}`).toContain(basename(file));
      }
      await copyFile(kept, file);
      await rm(kept);
    }
    // Undamaged again, it opens: the refusals have changed nothing.
    await using daemon = await copy.serve();
    expect(daemon.isRunning).toBe(true);
  }, 60_000);
});
