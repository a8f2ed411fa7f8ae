import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { childEnvironment } from "../../src/cli/child-environment.ts";
import { concurrently } from "../../src/cli/concurrently.ts";
import { parseSecretVariables } from "../../src/cli/secret-variables.ts";
import { isLoaderVariable, LIMITS, Resources, utf8 } from "../../src/core/index.ts";
import { type Daemon, Install } from "../support/gatehouse-process.ts";

const CANARY = "canary-4f81c2-value";

/** Words for `run`: a program of Node, which gets `args`, and what the support adds to every command line. */
const node = (script: string, ...args: readonly string[]) => [
  ...["--", process.execPath, "-e", script, "--", ...args],
];

describe("gatehouse run", () => {
  const resources = new Resources();
  let owner: Install;
  let daemon: Daemon;

  beforeAll(async () => {
    owner = resources.use(await Install.create());
    daemon = resources.use(await owner.serve(["--init", "--name", "hall"]));
    await owner.json(["vault", "put", "app/token"], "first");
    await owner.json(["vault", "put", "app/token"], CANARY);
    await owner.json(["vault", "put", "app/lines"], "one\ntwo é\n");
    await owner.json(["vault", "put", "app/nul"], Buffer.from([0x61, 0, 0x62]));
    await owner.json(["vault", "put", "app/binary"], Buffer.from([0xff, 0xfe]));
    await owner.json(["vault", "put", "app/large"], "x".repeat(LIMITS.environmentEntryBytes));
  });
  afterAll(() => resources[Symbol.asyncDispose]());

  /** The support's own `--home` comes after `--`, where it belongs to the command. */
  const ran = (words: readonly string[], input = "") =>
    owner.run(["run", "--home", owner.home, ...words], input);

  it("gives the command its secrets, by version too, to the byte and in its environment alone", async () => {
    const script = "process.stdout.write(JSON.stringify([process.env, process.argv.slice(1)]))";
    const words = ["--secret", "TOKEN=app/token", "--secret", "OLD=app/token@1", "--secret", "_L2=app/lines"];
    const { stdout, stderr, exitCode } = await ran([...words, ...node(script, "a b", "$TOKEN")]);
    const [env, argv] = JSON.parse(stdout.toString());
    expect(env).toMatchObject({ TOKEN: CANARY, OLD: "first", _L2: "one\ntwo é\n", HOME: owner.root });
    expect(argv.slice(0, 2)).toEqual(["a b", "$TOKEN"]);
    expect([exitCode, stderr]).toEqual([0, ""]);
  });

  it("takes variables from a file, with comments, and refuses one that is asked for twice", async () => {
    const file = join(owner.root, "names");
    await writeFile(file, "# for the app\n\nTOKEN=app/token\r\n  OLD=app/token@1  \n");
    const script = "console.log(process.env.TOKEN, process.env.OLD)";
    const { stdout } = await ran(["--env-file", file, ...node(script)]);
    expect(stdout.toString()).toBe(`${CANARY} first\n`);
    const twice = await ran(["--secret", "OLD=app/lines", "--env-file", file, ...node(script)]);
    expect([twice.exitCode, twice.stderr]).toEqual([2, expect.stringContaining("OLD is asked for twice")]);
  });

  it("lets the command read our standard input", async () => {
    const words = ["--secret", "T=app/token", ...node("process.stdin.pipe(process.stdout)")];
    expect((await ran(words, "through and through")).stdout.toString()).toBe("through and through");
  });

  it("ends with the command's exit code, or 128 and the number of the signal that ended it", async () => {
    const exits = async (script: string) =>
      (await ran(["--secret", "T=app/token", ...node(script)])).exitCode;
    expect(await exits("process.exit(0)")).toBe(0);
    expect(await exits("process.exit(42)")).toBe(42);
    expect(await exits("process.kill(process.pid, 'SIGKILL')")).toBe(137);
  });

  it("ends with 127 for a command that is not there and 126 for one that may not be run", async () => {
    const plain = join(owner.root, "plain");
    await writeFile(plain, "no program");
    await chmod(plain, 0o600);
    const starts = async (command: string) => {
      const words = ["run", "--json", "--home", owner.home, "--secret", "T=app/token", "--", command];
      const result = await owner.run(words);
      return [result.exitCode, result.errorCode];
    };
    expect(await starts("no-such-command-anywhere")).toEqual([127, "command.not-found"]);
    expect(await starts(plain)).toEqual([126, "command.not-startable"]);
  });

  it.each([
    ["is not there", "app/none", 3, "app/none for B: there is no such secret"],
    ["has no such version", "app/token@9", 3, "app/token for B"],
    ["is no path", "app//x", 2, "app//x for B"],
    ["has a NUL byte", "app/nul", 2, "app/nul cannot be B: it has a NUL byte"],
    ["is not UTF-8", "app/binary", 2, "app/binary cannot be B: it is not UTF-8"],
    ["is too long for a variable", "app/large", 2, "app/large cannot be B"],
  ])("starts nothing when one secret %s, and says which", async (_, path, exit, message) => {
    const words = ["--secret", "A=app/token", "--secret", `B=${path}`, "--", "echo", "started"];
    const { exitCode, stdout, stderr } = await ran(words);
    expect([exitCode, stdout.toString()]).toEqual([exit, ""]);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain(CANARY);
  });

  it("answers such a failure as one JSON document with --json, and leaves the command's output alone", async () => {
    const words = ["run", "--json", "--home", owner.home, "--secret"];
    const failed = await owner.run([...words, "A=app/none", "--", "echo"]);
    expect(failed.document).toMatchObject({ error: { code: "vault.not-found", retryable: false } });
    const done = await owner.run([...words, "A=app/token", "--", "printf", "%s", "out"]);
    expect(done.stdout.toString()).toMatch(/^out/);
  });

  it.each(["LD_PRELOAD", "NODE_OPTIONS", "PATH", "Path", "GIT_SSH_COMMAND"])(
    "refuses to set %s by a secret unless it is meant",
    async (name) => {
      const words = ["--secret", `${name}=app/token`, "--", "echo", "started"];
      expect(await ran(words)).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(name) });
    },
  );

  it("sets such a variable with --allow-loader-variables", async () => {
    const words = ["--allow-loader-variables", "--secret", "PERL5OPT=app/token"];
    const { stdout } = await ran([...words, ...node("console.log(process.env.PERL5OPT)")]);
    expect(stdout.toString()).toBe(`${CANARY}\n`);
  });

  it.each([
    ["no secret", ["--", "echo"]],
    ["no command", ["--secret", "A=app/token"]],
    ["a command before --", ["--secret", "A=app/token", "echo", "--", "x"]],
  ])("exits 2 for %s", async (_, words) => {
    const { exitCode, stdout } = await owner.run(["run", "--home", owner.home, ...words]);
    expect([exitCode, stdout.toString()]).toEqual([2, ""]);
  });

  describe("while the command runs", () => {
    /** Says `ready`, answers signals by their names, and ends on standard input's end. */
    const LISTENER = `
      for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => console.log(name));
      process.stdin.resume().on("end", () => process.exit(9));
      console.log("ready " + process.pid);`;

    const started = async () => {
      const child = owner.spawn(["run", "--home", owner.home, "--secret", "T=app/token", ...node(LISTENER)]);
      if (child.stdout === null) throw new TypeError("standard output is not a pipe");
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      const line = async () => String((await lines.next()).value);
      return { child, line, childPid: Number((await line()).replace("ready ", "")) };
    };

    it("signals go to it, again and again, and its own end is what counts", async () => {
      const { child, line } = await started();
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGTERM", "SIGINT"] as const) {
        child.kill(signal);
        expect(await line()).toBe(signal);
      }
      child.stdin?.end();
      expect(await once(child, "close")).toEqual([9, null]);
    });

    it("the value is in no command line, no file and no connection of ours", async () => {
      const { child, childPid } = await started();
      try {
        const processes = execFileSync("ps", ["-eww", "-o", "pid,args"], { encoding: "utf8" });
        expect(processes).toContain("T=app/token");
        expect(processes).not.toContain(CANARY);
        if (process.platform !== "linux") return;
        const udp = (pid: number) => socketsOf(pid).filter((inode) => udpInodes().has(inode));
        expect(udp(daemon.pid).length).toBeGreaterThan(0);
        expect(child.pid === undefined ? ["?"] : udp(child.pid)).toEqual([]);
        expect(readFileSync(`/proc/${childPid}/environ`, "utf8")).toContain(CANARY);
        expect(readFileSync(`/proc/${child.pid}/environ`, "utf8")).not.toContain(CANARY);
        expect(filesWith(owner.root, CANARY)).toEqual([]);
      } finally {
        child.stdin?.end();
        await once(child, "close");
      }
    });
  });

  it("left the values out of everything that the daemon said", () => {
    expect(daemon.stderr).not.toContain(CANARY);
    expect(JSON.stringify(daemon.events)).not.toContain(CANARY);
  });
});

describe("the environment of a command", () => {
  const secret = { name: "T", path: "a", version: 0, value: utf8("v") };

  it("is ours with the secrets in it, and of our own variables only those that say no secret", () => {
    const env = { A: "1", T: "old", GATEHOUSE_HOME: "/h", GATEHOUSE_PASSPHRASE: "p", gatehouse_key: "k" };
    expect(childEnvironment(env, [secret])).toEqual({ A: "1", T: "v", GATEHOUSE_HOME: "/h" });
  });

  it("takes a value as long as the system does, and not one byte more", () => {
    const fill = (sizeBytes: number) => () =>
      childEnvironment({}, [{ ...secret, value: new Uint8Array(sizeBytes).fill(0x61) }]);
    const sizeBytesMax = LIMITS.environmentEntryBytes - "T=".length;
    expect(fill(sizeBytesMax)).not.toThrow();
    expect(fill(sizeBytesMax + 1)).toThrow(/a cannot be T/);
    if (process.platform !== "linux") return;
    const env = fill(sizeBytesMax)();
    expect(execFileSync("/bin/sh", ["-c", 'printf %s "$T" | wc -c'], { env, encoding: "utf8" })).toBe(
      `${sizeBytesMax}\n`,
    );
  });
});

describe("the names of variables", () => {
  const parse = (...flags: readonly string[]) =>
    parseSecretVariables({ flags, file: "", allowLoaderVariables: false });

  it.each(["=a", "1A=a", "A B=a", "A-B=a", "Ä=a", "A=", "A", "A=a@0", "A=a@x", "A=a@", "A=a=b", "A=a@1@2"])(
    "and paths are checked: %j",
    (text) => {
      expect(() => parse(text)).toThrow(expect.objectContaining({ code: "usage.bad-argument" }));
    },
  );

  it("are not repeated in a complaint: it may have been the secret itself", () => {
    expect(() => parse("hunter2-is-no-path")).toThrow(/^(?!.*hunter2)/);
  });

  it("are bounded in number", () => {
    const flags = Array.from({ length: LIMITS.environmentSecrets }, (_, index) => `A${index}=a`);
    expect(parse(...flags)).toHaveLength(LIMITS.environmentSecrets);
    expect(() => parse(...flags, "B=b")).toThrow(/more than 256/);
  });

  it("that loaders know are told from others", () => {
    expect(
      ["LD_AUDIT", "ld_preload", "DYLD_X", "BASH_ENV", "IFS"].filter((name) => !isLoaderVariable(name)),
    ).toEqual([]);
    expect(["DATABASE_URL", "TOKEN", "MY_PATH", "OLD"].filter(isLoaderVariable)).toEqual([]);
  });
});

describe("work done concurrently", () => {
  it("is at most as wide as it may be, and answered in order", async () => {
    let [now, most] = [0, 0];
    const results = await concurrently([5, 1, 4, 2, 3], 2, async (item) => {
      now += 1;
      most = Math.max(most, now);
      for (let turn = 0; turn < item; turn += 1) await Promise.resolve();
      now -= 1;
      return item * 10;
    });
    expect([results, most]).toEqual([[50, 10, 40, 20, 30], 2]);
  });

  it("begins nothing after a failure, waits for the rest, and throws the earliest", async () => {
    const [begun, ended]: [number[], number[]] = [[], []];
    const work = concurrently([0, 1, 2, 3, 4], 3, async (item) => {
      begun.push(item);
      for (let turn = 0; turn < (item === 1 ? 2 : 10); turn += 1) await Promise.resolve();
      ended.push(item);
      if (item < 2) throw new Error(`number ${item}`);
    });
    await expect(work).rejects.toThrow("number 0");
    expect([begun, ended]).toEqual([
      [0, 1, 2],
      [1, 0, 2],
    ]);
  });
});

function udpInodes(): ReadonlySet<string> {
  const tables = ["/proc/net/udp", "/proc/net/udp6"].map((file) => readFileSync(file, "utf8"));
  return new Set(
    tables.flatMap((table) => table.split("\n").map((line) => line.trim().split(/\s+/)[9] ?? "")),
  );
}

function socketsOf(pid: number): readonly string[] {
  const links = execFileSync("ls", ["-l", `/proc/${pid}/fd`], { encoding: "utf8" });
  return [...links.matchAll(/socket:\[(\d+)\]/g)].map(([, inode]) => inode ?? "");
}

function filesWith(directory: string, text: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true, encoding: "utf8" })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => readFileSync(file).includes(text));
}
