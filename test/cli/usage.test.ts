import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { runHere } from "./support.ts";

describe("a command line that makes no sense", () => {
  it.each([
    ["an unknown command", ["frobnicate"], "usage.unknown-command"],
    ["no command", [], "usage.unknown-command"],
    ["an unknown flag", ["version", "--loud"], "usage.bad-argument"],
    ["an argument too many", ["version", "now"], "usage.bad-argument"],
    ["an argument too few", ["completion"], "usage.bad-argument"],
    ["a flag without its value", ["version", "--home"], "usage.bad-argument"],
    ["a flag with a bad value", ["version", "--timeout", "soon"], "usage.bad-argument"],
    ["a shell nobody knows", ["completion", "constructor"], "usage.bad-argument"],
  ])("exits 2 for %s and says so as one JSON line", async (_, argv, code) => {
    const { exitCode, stdout, stderr } = await runHere(["--json", ...argv]);
    expect([exitCode, stderr]).toEqual([2, ""]);
    expect(stdout.split("\n")).toHaveLength(2);
    expect(JSON.parse(stdout)).toEqual({
      error: { code, message: expect.any(String), hint: expect.any(String), retryable: false },
    });
  });

  it("is complained about in words on standard error, with the nearest word as the hint", async () => {
    expect(await runHere(["vesion"])).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: "error: unknown command 'vesion'\nhint: did you mean version?\n",
    });
  });

  it("keeps escape sequences from its complaint", async () => {
    expect((await runHere(["\u001b[2J"])).stderr).not.toContain("\u001b");
  });

  it("exits 2 for a misspelled variable", async () => {
    const { exitCode, stdout } = await runHere(["version", "--json"], { env: { GATEHOUSE_HOMES: "/x" } });
    expect([exitCode, JSON.parse(stdout).error.code]).toEqual([2, "config.invalid"]);
  });
});

describe("global options", () => {
  it.each([[["--json", "version"]], [["version", "--json"]], [["--quiet", "version", "--json"]]])(
    "work before and after the command: %j",
    async (argv) => {
      const { exitCode, stdout } = await runHere(argv);
      expect([exitCode, JSON.parse(stdout)]).toMatchObject([0, { version: expect.stringMatching(/^\d/) }]);
    },
  );

  it("show up in the help of a command, which exits 0", async () => {
    const { exitCode, stdout } = await runHere(["version", "--help"]);
    expect([exitCode, stdout]).toEqual([0, expect.stringContaining("--timeout <duration>")]);
  });
});

describe("colours", () => {
  const complain = (argv: readonly string[], env = {}, isTTY = true) =>
    runHere(["nope", ...argv], { env, isTTY });

  it("are for terminals that want them", async () => {
    expect((await complain([])).stderr).toContain("\u001b[31merror:");
    for (const ran of [
      await complain(["--no-color"]),
      await complain([], { NO_COLOR: "1" }),
      await complain([], { TERM: "dumb" }),
      await complain([], {}, false),
    ])
      expect(ran.stderr).toMatch(/^error: /m);
  });
});

describe("completion", () => {
  it.each(["bash", "zsh", "fish"])("for %s names every command", async (shell) => {
    const { stdout } = await runHere(["completion", shell]);
    expect(stdout).toContain("completion");
    expect(stdout).toContain("version");
  });

  const installed = ["bash", "zsh", "fish"].filter((shell) => existsSync(`/usr/bin/${shell}`));

  it.each(installed)("for %s is understood by that shell", async (shell) => {
    const { stdout } = await runHere(["completion", shell]);
    expect(spawnSync(shell, ["-n"], { input: stdout }).status).toBe(0);
  });

  it("offers in bash what may follow the words typed so far", async () => {
    const { stdout } = await runHere(["completion", "bash"]);
    const complete = (words: string, count: number) =>
      spawnSync("bash", [
        "-c",
        `${stdout}\nCOMP_WORDS=(${words}); COMP_CWORD=${count}; _gatehouse; echo "\${COMPREPLY[@]}"`,
      ])
        .stdout.toString()
        .trim();
    expect(complete("gatehouse vers", 1)).toBe("version");
    expect(complete("gatehouse version --qu", 2)).toBe("--quiet");
  });
});

describe("the program itself", () => {
  const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
  const program = (...argv: string[]) => spawnSync(process.execPath, [main, ...argv], { encoding: "utf8" });

  it("prints its version and exits 0", () => {
    expect(program("version", "--json")).toMatchObject({
      status: 0,
      stderr: "",
      stdout: expect.stringMatching(/^\{"version":"\d/),
    });
  });

  it("ends quietly when its reader has gone", () => {
    const { status, stderr } = spawnSync("bash", [
      ...["-c", `set -o pipefail; "${process.execPath}" "${main}" completion fish | head -c 1 > /dev/null`],
    ]);
    expect([status, stderr.toString()]).toEqual([0, ""]);
  });
});
