/**
 * The package as its users get it: packed, looked at, installed in an empty project and used from there. On copies in a
 * temporary folder: dist/, and whoever uses it meanwhile, are left alone.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { programsIn } from "../test/support/pages.ts";

/** What an install of this package alone takes on the disk. A third of it are the messages: their code, and their types. */
const UNPACKED_BYTES_MAX = 3_200_000;
const WANTED = ["dist/index.js", "dist/index.d.ts", "dist/cli/main.js", "LICENSE", "README.md"];
/** What nobody needs who installs it. */
const UNWANTED = /\.map$|^(?:src|test|bench|scripts|docs)\/|\.(?:test|config)\.[jt]s$|tsconfig/;

const USE = `import { connect } from "gatehouse";
const hall = await connect({ home: "home" });
await hall.vault.put({ path: "a/b", value: Buffer.from("correct horse") });
const { value } = await hall.vault.get({ path: "a/b" });
console.log(Buffer.from(value).toString());
await hall[Symbol.asyncDispose]();
`;

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const exec = promisify(execFile);

const dir = await mkdtemp(join(tmpdir(), "gatehouse-package-"));
try {
  const tarball = await step("packed", () => pack(join(dir, "source")));
  const project = join(dir, "project");
  await allOf([
    step("publint has nothing to say", () => tool("publint", "run", tarball, "--strict")),
    step("its types resolve", () => tool("attw", tarball, "--profile", "esm-only", "--no-definitely-typed")),
    step("installed", () => install(project, tarball)),
  ]);
  await step("docs/library.md type-checks as NodeNext and Bundler", () => typeCheck(project));
  await step("served and called", () => use(project));
} finally {
  await rm(dir, { recursive: true, force: true });
}

/** Not before all have ended, failed or not: they work in a folder that goes away. */
async function allOf(steps: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(steps)).find(({ status }) => status === "rejected");
  if (failed?.status === "rejected") throw failed.reason;
}

async function step<Result>(done: string, work: () => Promise<Result>): Promise<Result> {
  const startMs = performance.now();
  try {
    const result = await work();
    console.log(`${done} (${((performance.now() - startMs) / 1_000).toFixed(1)} s)`);
    return result;
  } catch (failure) {
    console.error(`not so: ${done}`);
    throw failure;
  }
}

/** Runs a tool of ours in `cwd`; what it printed comes with its failure. */
async function tool(name: string, ...args: readonly string[]): Promise<void> {
  try {
    await exec(join(ROOT, "node_modules/.bin", name), args, { cwd: dir });
  } catch (failure) {
    throw new Error(`${name} complains:\n${outputOf(failure)}`);
  }
}

function outputOf(failure: unknown): string {
  if (typeof failure !== "object" || failure === null) return "";
  return [Reflect.get(failure, "stdout"), Reflect.get(failure, "stderr")].join("\n").trim();
}

/** Of what git has or would take. @throws Error for files that are missing, too many or too large */
async function pack(source: string): Promise<string> {
  const { stdout } = await exec("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    ...{ cwd: ROOT, maxBuffer: 16_777_216 },
  });
  for (const path of stdout.split("\0").filter((each) => /^(?!test\/|bench\/|docs\/)./.test(each))) {
    await mkdir(dirname(join(source, path)), { recursive: true });
    await cp(join(ROOT, path), join(source, path), { preserveTimestamps: true });
  }
  // As fresh as here: npm would generate it again.
  await cp(join(ROOT, "src/gen"), join(source, "src/gen"), { recursive: true, preserveTimestamps: true });
  await symlink(join(ROOT, "node_modules"), join(source, "node_modules"));
  const packed = await exec("npm", ["pack", "--json", "--pack-destination", dir], { cwd: source });
  const { filename, files, size, unpackedSize } = packedOf(packed.stdout);
  const paths = files.map(({ path }) => path);
  const wrong = [
    ...WANTED.filter((path) => !paths.includes(path)).map((path) => `without ${path}`),
    ...paths.filter((path) => UNWANTED.test(path)).map((path) => `with ${path}`),
    ...(unpackedSize > UNPACKED_BYTES_MAX ? [`${unpackedSize} bytes, and may be ${UNPACKED_BYTES_MAX}`] : []),
  ];
  if (wrong.length > 0) throw new Error(`the package is ${wrong.join(", ")}`);
  console.log(
    `${files.length} files, ${size} bytes packed, ${unpackedSize} unpacked of ${UNPACKED_BYTES_MAX}`,
  );
  return join(dir, filename);
}

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
  readonly size: number;
  readonly unpackedSize: number;
}

/** npm's scripts write to standard output, too, before it. */
function packedOf(stdout: string): Packed {
  const [packed]: readonly Packed[] = JSON.parse(stdout.slice(stdout.search(/^\[$/m)));
  if (packed === undefined) throw new Error(`npm pack answered another shape: ${stdout}`);
  return packed;
}

async function install(project: string, tarball: string): Promise<void> {
  await mkdir(project);
  await writeFile(join(project, "package.json"), '{ "private": true, "type": "module" }\n');
  await exec("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", tarball], { cwd: project });
}

/** Strictly, with no types but Node's; every declaration that is shipped with them, once. */
async function typeCheck(project: string): Promise<void> {
  const programs = await programsIn("docs/library.md");
  for (const [name, program] of programs) await writeFile(join(project, name), program);
  await allOf(
    [
      { module: "NodeNext", moduleResolution: "NodeNext" },
      { module: "ESNext", moduleResolution: "Bundler", skipLibCheck: true },
    ].map(async (how) => {
      const config = join(project, `tsconfig.${how.moduleResolution}.json`);
      const strict = { strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true };
      const types = { types: ["node"], typeRoots: [join(ROOT, "node_modules/@types")] };
      const base = { target: "ES2023", lib: ["ES2023", "ESNext.Disposable"], noEmit: true };
      const compilerOptions = { ...base, ...how, ...strict, ...types };
      await writeFile(config, JSON.stringify({ compilerOptions, files: [...programs.keys()] }));
      await tool("tsc", "-p", config);
    }),
  );
}

/** A gatehouse by the installed command, called by the installed library. */
async function use(project: string): Promise<void> {
  const env = { PATH: process.env["PATH"] ?? "", HOME: project, GATEHOUSE_LOG_LEVEL: "error" };
  const command = join(project, "node_modules/.bin/gatehouse");
  const args = [
    "serve",
    "--init",
    "--name",
    "hall",
    "--listen",
    "127.0.0.1:0",
    "--home",
    "home",
    "--json",
    "--quiet",
  ];
  const daemon = spawn(command, args, { cwd: project, env, stdio: ["ignore", "pipe", "inherit"] });
  try {
    for await (const line of createInterface({ input: daemon.stdout })) if (/"ready"/.test(line)) break;
    await writeFile(join(project, "use.js"), USE);
    const { stdout } = await exec(process.execPath, ["use.js"], { cwd: project, env });
    if (stdout !== "correct horse\n") throw new Error(`the library answered ${stdout}`);
  } finally {
    const ended = once(daemon, "close");
    if (daemon.kill()) await ended;
  }
}
