// Bundles src/ to dist/: a process that loads four hundred files one by one takes twice as long to start.
// Packages stay what they are, beside it.
//   --release   what the package ships: with declarations for those who import the library, and without source maps and
//               the rooms' own entries, which tests and benches alone use
//   --if-stale  nothing when dist/ is newer than what it is made of: npm prepares a package again after it was packed for
import { chmod, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { writeDeclarations } from "./declarations.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const source = `${root}src`;
const isRelease = argv.includes("--release");

if (!(argv.includes("--if-stale") && (await isFresh()))) await buildAll();

async function buildAll() {
  await rm(`${root}dist`, { recursive: true, force: true });
  await build({
    ...{ entryPoints: await entryPoints(), outbase: source, outdir: `${root}dist` },
    // As deep as a folder of src/: what is found relative to a module is found from either.
    chunkNames: "chunks/[name]-[hash]",
    ...{ bundle: true, splitting: true, packages: "external", platform: "node", format: "esm" },
    ...{ target: "node20.19", sourcemap: !isRelease, logLevel: "warning" },
  });
  await chmod(`${root}dist/cli/main.js`, 0o755);
  if (isRelease) await writeDeclarations(root);
}

async function entryPoints() {
  const folders = (await readdir(source, { withFileTypes: true })).filter((entry) => entry.isDirectory());
  const faces = folders.map(({ name }) => name).filter((name) => name !== "cli");
  return [
    `${source}/index.ts`,
    `${source}/cli/main.ts`,
    ...(isRelease ? [] : faces.map((name) => `${source}/${name}/index.ts`)),
    // Threads of their own.
    `${source}/vault/checkpoint-worker.ts`,
    `${source}/daemon/watchdog-worker.ts`,
  ];
}

async function isFresh() {
  const names = await readdir(source, { recursive: true });
  const inputs = [...names.map((name) => join(source, name)), fileURLToPath(import.meta.url)];
  const made = await modifiedMs(`${root}dist/cli/main.js`);
  return made > Math.max(...(await Promise.all(inputs.map(modifiedMs))));
}

async function modifiedMs(path) {
  return stat(path).then(
    (entry) => entry.mtimeMs,
    () => 0,
  );
}
