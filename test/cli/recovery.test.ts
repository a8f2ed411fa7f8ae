import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Ran, runHere } from "./support.ts";

const KEY = /AGE-SECRET-KEY-1[0-9A-Z]{58}/;

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "gatehouse-recovery-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** On one of two machines: each has key files of its own. */
const on = (machine: string, home: string, argv: readonly string[], stdin = ""): Promise<Ran> =>
  runHere([...argv, "--json", "--home", join(root, home)], {
    env: { GATEHOUSE_KEY_DIR: join(root, machine) },
    stdin,
  });

const here = (argv: readonly string[], stdin?: string): Promise<Ran> => on("keys", "home", argv, stdin);

async function made(): Promise<string> {
  const { stderr, exitCode } = await here(["init", "--name", "hall"]);
  expect(exitCode).toBe(0);
  return KEY.exec(stderr)?.[0] ?? "";
}

const outcome = ({ stdout, exitCode }: Ran): unknown => ({ exitCode, ...JSON.parse(stdout) });

describe("init", () => {
  it("shows a recovery key on standard error, once, and keeps it nowhere", async () => {
    const ran = await here(["init", "--name", "hall"]);
    expect(ran.stdout).not.toMatch(KEY);
    const [key = ""] = KEY.exec(ran.stderr) ?? [];
    expect(ran.stderr.split(key)).toHaveLength(2);
    const names = await readdir(root, { recursive: true, withFileTypes: true });
    for (const entry of names.filter((found) => found.isFile())) {
      const file = await readFile(join(entry.parentPath, entry.name), "latin1");
      expect(file).not.toContain(key);
    }
  });

  it("makes none with --no-recovery-key, and shows none with a recipient of one's own", async () => {
    const without = await here(["init", "--no-recovery-key"]);
    expect(without.stderr).not.toMatch(KEY);
    const recipient = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
    const own = await on("keys", "other", ["init", "--recovery-recipient", recipient]);
    expect(own).toMatchObject({ exitCode: 0, stderr: expect.not.stringMatching(KEY) });
    expect(outcome(await on("keys", "other", ["vault", "key", "ls"]))).toMatchObject({
      keys: [{ kind: "key-file" }, { kind: "recovery", recipient }],
    });
    const wrong = await on("keys", "third", ["init", "--recovery-recipient", "age1nonsense"]);
    expect(wrong.exitCode).toBe(2);
  });
});

describe("recovery test", () => {
  it("proves that the key opens vault and identity, and changes nothing", async () => {
    const key = await made();
    const file = join(root, "key");
    await writeFile(file, `${key.toLowerCase()}\n`, { mode: 0o600 });
    const tested = outcome(await here(["recovery", "test", "--file", file]));
    expect(tested).toMatchObject({
      exitCode: 0,
      opens: true,
      deviceId: expect.stringMatching(/^[a-z2-7]{56}$/),
    });
  });

  it("tells another recovery key (exit 8) from a mistyped one (exit 2)", async () => {
    const key = await made();
    await on("keys", "other", ["init"]);
    const another = await on("keys", "other", ["recovery", "test", "--file", "-"], `${key}\n`);
    expect(outcome(another)).toMatchObject({ exitCode: 8, error: { code: "vault.wrong-key" } });
    const mistyped = await here(["recovery", "test", "--file", "-"], `${key.slice(0, -1)}\n`);
    expect(outcome(mistyped)).toMatchObject({ exitCode: 2 });
  });
});

describe("a home copied to another machine without its keys", () => {
  it("gives nothing; with the recovery key it gets new keys for vault and identity", async () => {
    const key = await made();
    await cp(join(root, "home"), join(root, "copy"), { recursive: true });
    const there = (argv: readonly string[], stdin?: string) => on("keys-there", "copy", argv, stdin);
    expect(outcome(await there(["serve"]))).toMatchObject({ exitCode: 8, error: { code: "key.missing" } });
    const restored = await there(["recovery", "restore-keys", "--file", "-"], `${key}\n`);
    expect(outcome(restored)).toMatchObject({ exitCode: 0, number: 3, kind: "key-file" });
    expect(await readdir(join(root, "keys-there"))).toHaveLength(2);
    // The vault opens by its new key, the identity by its own: a new recovery key needs both.
    const added = await there(["vault", "key", "add", "--recovery"]);
    expect(outcome(added)).toMatchObject({ exitCode: 0, number: 4, kind: "recovery" });
    const fresh = KEY.exec(added.stderr)?.[0] ?? "";
    expect(outcome(await there(["recovery", "test", "--file", "-"], `${fresh}\n`))).toMatchObject({
      opens: true,
    });
    expect(outcome(await there(["vault", "key", "rm", "2"]))).toMatchObject({
      exitCode: 0,
      kind: "recovery",
    });
    expect((await there(["recovery", "test", "--file", "-"], `${key}\n`)).exitCode).toBe(8);
  });
});

describe("vault key", () => {
  it("adds a key that opens the vault by itself, and takes the first away", async () => {
    await made();
    const file = join(root, "passphrase");
    await writeFile(file, "correct horse battery\n", { mode: 0o600 });
    const add = ["vault", "key", "add", "--new-kek", "passphrase", "--new-kek-passphrase-file", file];
    expect(outcome(await here(add))).toMatchObject({ exitCode: 0, number: 3, kind: "passphrase" });
    expect(outcome(await here(["vault", "key", "rm", "1"]))).toMatchObject({ exitCode: 0, number: 1 });
    const last = ["vault", "key", "rm", "3", "--kek-passphrase-file", file];
    expect(outcome(await here(last))).toMatchObject({ exitCode: 7, error: { code: "vault.key-slots" } });
  });

  it("wants one wish at a time", async () => {
    await made();
    for (const wish of [[], ["--recovery", "--new-kek", "keyring"]]) {
      expect((await here(["vault", "key", "add", ...wish])).exitCode).toBe(2);
    }
  });
});
