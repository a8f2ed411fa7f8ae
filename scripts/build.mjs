// Bundles src/ to dist/: a process that loads four hundred files one by one takes twice as long to start.
// Packages stay what they are, beside it. `--types` writes the declarations too, for those who import the library.
import { spawnSync } from "node:child_process";
import { chmod, copyFile, readdir, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const source = `${root}src`;

const folders = (await readdir(source, { withFileTypes: true })).filter((entry) => entry.isDirectory());
const faces = folders.map(({ name }) => name).filter((name) => name !== "cli");
const entryPoints = [
  `${source}/index.ts`,
  `${source}/cli/main.ts`,
  ...faces.map((name) => `${source}/${name}/index.ts`),
  // Threads of their own.
  `${source}/vault/checkpoint-worker.ts`,
  `${source}/daemon/watchdog-worker.ts`,
];

await rm(`${root}dist`, { recursive: true, force: true });
await build({
  ...{ entryPoints, outbase: source, outdir: `${root}dist` },
  // As deep as a folder of src/: what is found relative to a module is found from either.
  chunkNames: "chunks/[name]-[hash]",
  ...{ bundle: true, splitting: true, packages: "external", platform: "node", format: "esm" },
  ...{ target: "node20.19", sourcemap: true, logLevel: "warning" },
});
await chmod(`${root}dist/cli/main.js`, 0o755);

if (process.argv.includes("--types")) {
  const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
  const { status } = spawnSync(process.execPath, [tsc, "-p", `${root}tsconfig.build.json`], {
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
  await copyFile(`${source}/gen/messages.d.ts`, `${root}dist/gen/messages.d.ts`);
}
