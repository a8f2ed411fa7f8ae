// Keeps this version's client as one file, test/skew/clients/VERSION.mjs.gz: from then on it is tested against every later
// gatehouse. Run once for each release. A version that is kept already stays what it was.
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const { version } = JSON.parse(await readFile(`${root}package.json`, "utf8"));
const folder = `${root}test/skew/clients`;
const path = `${folder}/${version}.mjs.gz`;
if (existsSync(path)) {
  console.error(`${version} is kept already: ${path}`);
  process.exit(1);
}
const { outputFiles } = await build({
  ...{ entryPoints: [`${root}src/client/index.ts`], bundle: true, write: false, minify: true },
  ...{ platform: "node", format: "esm", target: "node20.19", logLevel: "warning" },
  // Binaries are not bundled: they are those of the gatehouse's version.
  external: ["@matrixai/quic", "fs-native-extensions"],
  // Packages that are CommonJS ask for Node's own parts.
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
});
await mkdir(folder, { recursive: true });
await writeFile(path, gzipSync(outputFiles[0].contents, { level: 9 }));
console.log(path);
