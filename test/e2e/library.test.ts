/** The programs of docs/library.md, each in a process of its own, with the library as it is built. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Resources } from "../../src/core/index.ts";
import { Daemon, Install, isObject, text } from "../support/gatehouse-process.ts";
import { programsIn } from "../support/pages.ts";

const PACKAGE = fileURLToPath(new URL("../..", import.meta.url));
const LINES_MAX = 25;
const PROGRAM_MS = 30_000;

const resources = new Resources();
let hall: Install;
let phone: Install;
let programs: ReadonlyMap<string, string>;
const ran = new Set<string>();

beforeAll(async () => {
  programs = await programsIn("docs/library.md");
  hall = resources.use(await Install.create());
  phone = resources.use(await Install.create());
  await hall.json(["init", "--name", "hall"]);
  await writeFile(join(hall.home, "config.toml"), TOOL, { mode: 0o600 });
  resources.use(await hall.serve());
  await using window = new Daemon(hall.spawn(["pair", "open", "--role", "deployer", "--json"]));
  await phone.json(["pair", "join", text((await window.event("open"))["uri"]), "--name", "phone"]);
  const policy = join(hall.root, "deployers.cedar");
  await writeFile(policy, POLICY);
  await hall.json(["policy", "put", "deployers", "--file", policy]);
  for (const [name, value] of Object.entries({ db: "correct horse", visits: "0", z: "last" })) {
    await hall.json(["vault", "put", `shared/${name}`], value);
  }
  for (const install of [hall, phone]) await settle(install);
});
afterAll(() => resources[Symbol.asyncDispose]());

const POLICY = `@id("deploy")
permit (principal in Role::"deployer", action in [Action::"tool:run", Action::"tool:list"], resource == Tool::"deploy");
`;

const TOOL = `[tools.deploy]
command = ["/bin/sh", "-c", "echo to $0; echo done >&2; exit 3", "{environment}"]
allow_same_user = true
approval = true
[tools.deploy.parameters.environment]
type = "choice"
choices = ["staging", "production"]
`;

/** As after npm install: the package, and the programs beside it. */
async function settle({ root }: Install): Promise<void> {
  await mkdir(join(root, "node_modules"));
  await symlink(PACKAGE, join(root, "node_modules/gatehouse"));
  for (const [name, program] of programs) {
    const { code } = await transform(program, { loader: "ts", format: "esm", target: "node20.19" });
    await writeFile(join(root, name.replace(/\.ts$/, ".mjs")), code);
  }
}

interface Ended {
  readonly exit: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program under way; killed on disposal if it still runs. */
class Running implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly #ended: Promise<Ended>;
  readonly #said = { stdout: "", stderr: "" };

  constructor(install: Install, name: string, args: readonly string[]) {
    if (!programs.has(`${name}.ts`)) throw new Error(`docs/library.md does not show ${name}.ts`);
    ran.add(`${name}.ts`);
    const options = { cwd: install.root, env: install.env, timeout: PROGRAM_MS } as const;
    this.child = spawn(process.execPath, [`${name}.mjs`, ...args], options);
    for (const name of ["stdout", "stderr"] as const) {
      this.child[name]?.on("data", (chunk: Buffer) => {
        this.#said[name] += chunk.toString();
      });
    }
    this.#ended = once(this.child, "close").then(([exit]: unknown[]) => ({ exit, ...this.#said }));
  }

  end(): Promise<Ended> {
    return this.#ended;
  }

  /** The first whole line with `words` in it. @throws when the program ends without one */
  async line(words: string): Promise<string> {
    for (;;) {
      const whole = this.#said.stdout.split("\n").slice(0, -1);
      const found = whole.find((each) => each.includes(words));
      if (found !== undefined) return found;
      const news = once(this.child.stdout ?? this.child, "data").then(() => undefined);
      const ended = await Promise.race([news, this.#ended]);
      if (ended !== undefined && !ended.stdout.includes(words)) throw new Error(JSON.stringify(ended));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.#ended;
  }
}

const start = (install: Install, name: string, ...args: readonly string[]): Running =>
  new Running(install, name, args);
const run = (name: string, ...args: readonly string[]): Promise<Ended> => start(hall, name, ...args).end();

describe("docs/library.md", () => {
  it("get reads a secret", async () => {
    expect(await run("get")).toEqual({ exit: 0, stdout: "version 1: correct horse\n", stderr: "" });
  });

  it("count, run several times at once, counts each", async () => {
    const all = await Promise.all(Array.from({ length: 4 }, () => run("count")));
    expect(all).toEqual(Array.from(all, () => ({ exit: 0, stdout: "", stderr: "" })));
    expect((await hall.run(["vault", "get", "shared/visits"])).stdout.toString()).toBe("4");
  });

  it("list goes through every page", async () => {
    const { stdout } = await run("list");
    expect(stdout).toMatch(/^shared\/db 1 13\nshared\/visits \d+ 1\nshared\/z 1 4\n$/);
  });

  it("errors tells what is not there, what is not permitted, and what cannot be", async () => {
    expect(await run("errors", "shared/none")).toMatchObject({ exit: 0, stdout: "nothing there\n" });
    const denied = await start(phone, "errors", "shared/db").end();
    expect(denied).toMatchObject({ exit: 0, stdout: "no policy lets this device see it\n" });
    expect((await run("errors", "a//b")).stdout).toMatch(/^vault\.bad-path .* never\n$/);
  });

  it("deadline ends in time, or when it is interrupted", async () => {
    expect((await run("deadline", "500")).stdout).toMatch(
      /^record \d+\n(?:record \d+\n)*that was all, in time\n$/,
    );
    const watching = start(hall, "deadline", "60000");
    await watching.line("record");
    watching.child.kill("SIGINT");
    expect(await watching.end()).toMatchObject({
      exit: 0,
      stdout: expect.stringMatching(/\ninterrupted\n$/),
    });
  });

  it("run shows what a tool prints once approve has said yes, and approve says no to others", async () => {
    await using approving = start(hall, "approve");
    const staging = await start(phone, "run", "staging").end();
    expect(staging).toMatchObject({ exit: 3, stderr: "done\n" });
    expect(staging.stdout).toMatch(/^somebody has to say yes to [0-9a-z]+\nto staging\n$/);
    expect(await approving.line("yes to")).toBe("yes to deploy staging for phone");
    const production = await start(phone, "run", "production").end();
    expect(production.exit).toBe(1);
    expect(production.stderr).toContain("approval.denied");
    expect(await approving.line("no to")).toBe("no to deploy production for phone");
  });

  it("explain says why a device may not", async () => {
    expect((await run("explain")).stdout).toMatch(/^denied by .+\n$/);
  });

  it("tail prints the newest records", async () => {
    const { stdout } = await run("tail");
    expect(stdout.trimEnd().split("\n")).toHaveLength(5);
    expect(stdout).toMatch(/^\d+ \d{4}-\S+Z hall audit:read allowed$/m);
  });

  it("ping measures round trips", async () => {
    expect((await run("ping")).stdout).toMatch(/^quic: \d+\.\d\d ms, handshake \d+\.\d ms\n$/);
  });

  it("join pairs by a URI and calls the gatehouse", async () => {
    await using window = new Daemon(hall.spawn(["pair", "open", "--uri-only", "--json"]));
    const { uri } = await window.event("open");
    const joining = start(hall, "join");
    joining.child.stdin?.end(`${text(uri)}\n`);
    const { version } = await hall.json(["version"]);
    expect(await joining.end()).toMatchObject({
      ...{ exit: 0, stderr: "" },
      stdout: `kiosk is a member of hall\nserving, version ${String(version)}\n`,
    });
  });

  it("exported connects with what remote export wrote", async () => {
    const out = join(phone.root, "hall");
    const { exported } = await phone.json(["remote", "export", "--out", out]);
    if (!isObject(exported)) throw new Error("remote export answered another shape");
    const place = [text(exported["address"]), text(exported["deviceId"])];
    expect(await start(phone, "exported", ...place).end()).toMatchObject({
      ...{ exit: 0, stderr: "", stdout: "hall is serving, by quic\n" },
    });
  });

  it("has short programs, and each of them was run here", () => {
    expect([...programs.keys()].filter((name) => !ran.has(name))).toEqual([]);
    const long = [...programs].filter(([, program]) => program.split("\n").length - 1 > LINES_MAX);
    expect(long).toEqual([]);
    expect(programs.size).toBeGreaterThanOrEqual(10);
  });
});
