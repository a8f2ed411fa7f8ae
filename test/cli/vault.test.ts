import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { secretTable, versionTable } from "../../src/cli/secret-document.ts";
import { createStyle } from "../../src/cli/style.ts";
import { Resources } from "../../src/core/index.ts";
import { Install, MAIN_PATH } from "../support/gatehouse-process.ts";
import { runHere } from "./support.ts";

const HOUR = 3_600_000;

/** Attributes and endings of secrets, by the real program against a real daemon. */
describe("the vault's commands", () => {
  const resources = new Resources();
  let owner: Install;

  beforeAll(async () => {
    owner = resources.use(await Install.create());
    resources.use(await owner.serve(["--init", "--name", "hall"]));
  });
  afterAll(() => resources[Symbol.asyncDispose]());

  const put = (path: string, ...words: readonly string[]) =>
    owner.json(["vault", "put", path, ...words], `value of ${path}`);
  const listed = async (...words: readonly string[]) => {
    const { secrets } = await owner.json(["vault", "ls", ...words]);
    return (secrets as readonly { readonly path: string }[]).map(({ path }) => path);
  };
  const states = async (path: string) => {
    const { versions } = await owner.json(["vault", "history", path]);
    return (versions as readonly Record<string, unknown>[]).map((entry) => [
      ...[entry["version"], entry["isRemoved"], entry["isDestroyed"]],
    ]);
  };

  it("put stores an end, a type and labels with a value, and get and ls show them", async () => {
    await put("a/full", "--ttl", "12h", "--label", "env=prod", "--label", "eq==", "--content-type", "text/x");
    const about = { path: "a/full", version: 1, labels: { env: "prod", eq: "=" } };
    const got = await owner.json(["vault", "get", "a/full"]);
    expect(got).toMatchObject({ ...about, contentType: "text/x" });
    expect(Number(got["expiresAt"]) - Number(got["createdAt"])).toBe(12 * HOUR);
    const { secrets } = await owner.json(["vault", "ls", "a"]);
    expect(secrets).toEqual([
      { ...about, ...pick(got, "createdAt", "expiresAt"), sizeBytes: 15, isRemoved: false },
    ]);
  });

  it("a secret without an end or labels says so", async () => {
    await put("b/plain");
    expect(await owner.json(["vault", "get", "b/plain"])).toMatchObject({ expiresAt: 0, labels: {} });
    const { stdout } = await owner.run(["vault", "ls", "b"]);
    expect(stdout.toString()).toMatch(/^PATH +VERSION +SIZE +STORED +EXPIRES\nb\/plain .* never\n$/);
  });

  it("labels stay until they are replaced or cleared, and ls finds by all that are given", async () => {
    await put("c/one", "--label", "env=prod", "--label", "team=a");
    await put("c/two", "--label", "env=prod");
    expect(await listed("c", "--label", "env=prod")).toEqual(["c/one", "c/two"]);
    expect(await listed("c", "--label", "env=prod", "--label", "team=a")).toEqual(["c/one"]);
    await put("c/one");
    expect(await listed("c", "--label", "team=a")).toEqual(["c/one"]);
    await put("c/one", "--label", "team=b");
    expect(await listed("c", "--label", "env=prod")).toEqual(["c/two"]);
    await put("c/one", "--clear-labels");
    expect((await owner.json(["vault", "get", "c/one"]))["labels"]).toEqual({});
  });

  it("an expired value is not found, and the history says why", async () => {
    await put("d/short", "--ttl", "1s");
    await expect
      .poll(() => owner.outcome(["vault", "get", "d/short"]), { timeout: 15_000, interval: 250 })
      .toEqual({ exit: 3, code: "vault.not-found" });
    const { stdout } = await owner.run(["vault", "history", "d/short"]);
    expect(stdout.toString()).toMatch(/ (expired|destroyed)\n$/);
  });

  it("rm hides, ls --removed shows, undelete brings back", async () => {
    await put("e/gone");
    await put("e/gone");
    await owner.json(["vault", "rm", "e/gone"]);
    expect([await listed("e"), await listed("e", "--removed")]).toEqual([[], ["e/gone"]]);
    expect((await owner.run(["vault", "ls", "e", "--removed"])).stdout.toString()).toMatch(/ removed\n$/);
    expect(await owner.json(["vault", "undelete", "e/gone"])).toEqual({ path: "e/gone", version: 2 });
    expect(await listed("e")).toEqual(["e/gone"]);
    expect(await owner.outcome(["vault", "undelete", "e/gone"])).toEqual({
      exit: 7,
      code: "vault.not-removed",
    });
    expect(await owner.outcome(["vault", "undelete", "e/none"])).toEqual({
      exit: 3,
      code: "vault.not-found",
    });
  });

  it("destroy erases one version, or all, and the numbers are not given out again", async () => {
    for (let version = 1; version <= 3; version += 1) await put("f/end");
    const destroy = (...words: readonly string[]) => ["vault", "destroy", "f/end", "--yes", ...words];
    expect(await owner.json(destroy("--version", "2"))).toEqual({ path: "f/end", versions: [2] });
    expect(await states("f/end")).toEqual([
      ...[
        [3, false, false],
        [2, false, true],
        [1, false, false],
      ],
    ]);
    expect(await owner.outcome(["vault", "get", "f/end", "--version", "2"])).toMatchObject({ exit: 3 });
    expect(await owner.outcome(destroy("--version", "9"))).toMatchObject({ exit: 3 });
    expect(await owner.outcome(destroy("--all", "--if-version", "2"))).toEqual({
      ...{ exit: 7, code: "vault.version-conflict" },
    });
    const { versions } = await owner.json(destroy("--all"));
    expect(versions).toEqual(expect.arrayContaining([1, 3]));
    expect(await owner.outcome(["vault", "get", "f/end"])).toEqual({ exit: 3, code: "vault.not-found" });
    expect(await put("f/end")).toMatchObject({ version: 4 });
  });

  it("destroy needs --yes where nobody can be asked, and does nothing without", async () => {
    await put("g/kept");
    const { exitCode, stderr } = await owner.run(["vault", "destroy", "g/kept", "--all"]);
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining("cannot be taken back")]);
    expect(await listed("g")).toEqual(["g/kept"]);
  });

  it.runIf(existsSync("/usr/bin/script"))(
    "destroy on a terminal asks for the path, and takes nothing else for a yes",
    async () => {
      await put("h/typed");
      const answer = (typed: string) => {
        const line = [
          process.execPath,
          MAIN_PATH,
          "vault destroy h/typed --all --no-color --home",
          owner.home,
        ];
        return spawnSync("script", ["-qec", line.join(" "), "/dev/null"], {
          ...{ input: `${typed}\n`, env: owner.env, encoding: "utf8", timeout: 20_000 },
        });
      };
      const refused = answer("yes");
      expect(refused.stdout).toContain("It cannot be taken back.");
      expect([refused.status, refused.stdout]).toEqual([1, expect.stringContaining("nothing was destroyed")]);
      expect(await listed("h")).toEqual(["h/typed"]);
      const given = answer("h/typed");
      expect([given.status, given.stdout]).toEqual([
        0,
        expect.stringContaining("destroyed 1 version of h/typed"),
      ]);
      expect(await listed("h", "--removed")).toEqual([]);
    },
  );
});

describe("a command line about secrets that makes no sense", () => {
  it.each([
    ["a label without a key", ["put", "a", "--label", "=v"]],
    ["a label without a value", ["put", "a", "--label", "k"]],
    ["a label given twice", ["ls", "--label", "k=v", "--label", "k=w"]],
    ["labels to set and to clear", ["put", "a", "--label", "k=v", "--clear-labels"]],
    ["a time to live that is none", ["put", "a", "--ttl", "soon"]],
    ["destroy without what", ["destroy", "a", "--yes"]],
    ["destroy of one and of all", ["destroy", "a", "--yes", "--all", "--version", "1"]],
    ["destroy of version 0", ["destroy", "a", "--yes", "--version", "0"]],
    ["an import that skips and overwrites", ["import", "f", "--if-absent", "--overwrite"]],
    ["an import of an unknown format", ["import", "f", "--format", "toml"]],
  ])("exits 2 for %s, before anybody is asked", async (_, words) => {
    const { exitCode, stdout } = await runHere(["--json", "vault", ...words], { stdin: "v" });
    expect([exitCode, JSON.parse(stdout)]).toMatchObject([2, { error: { code: "usage.bad-argument" } }]);
  });
});

describe("the tables of secrets", () => {
  const NOW = Date.UTC(2026, 10, 24, 12);
  const shown = { nowMs: NOW, style: createStyle(false) };
  const secret = {
    ...{ path: "a/b", version: 2, createdAt: NOW - HOUR, sizeBytes: 3, expiresAt: 0, labels: {} },
    isRemoved: false,
  };
  const version = {
    ...{ version: 1, createdAt: NOW - HOUR, sizeBytes: 3, createdBy: "abcdefghij", expiresAt: 0 },
    ...{ isRemoved: false, isDestroyed: false },
  };

  it("show labels in a column when any secret has one, control characters made visible", () => {
    const labelled = { ...secret, labels: { z: "1", a: "\u001b" }, expiresAt: NOW + HOUR };
    const [heading, , line] = secretTable([secret, labelled], shown).split("\n");
    expect(heading).toMatch(/EXPIRES +LABELS$/);
    expect(line).toMatch(/in 1 hour .* a=\\u\{1b\} z=1$/);
    expect(secretTable([secret], shown)).not.toContain("LABELS");
  });

  it.each([
    [{}, "never"],
    [{ isRemoved: true }, "removed"],
    [{ isRemoved: true, expiresAt: NOW }, "expired"],
    [{ isRemoved: true, expiresAt: NOW, isDestroyed: true }, "destroyed"],
  ])("say what became of a version: %j", (state, word) => {
    expect(versionTable([{ ...version, ...state }], shown)).toMatch(new RegExp(`${word}$`));
  });
});

function pick(from: Readonly<Record<string, unknown>>, ...keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(keys.map((key) => [key, from[key]]));
}
