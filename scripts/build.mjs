// Compiles src/ to dist/ and puts the generated JavaScript beside it.
import { spawnSync } from "node:child_process";
import { chmod, copyFile, mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
const { status } = spawnSync(process.execPath, [tsc, "-p", `${root}tsconfig.build.json`], {
  stdio: "inherit",
});
if (status !== 0) process.exit(status ?? 1);
await mkdir(`${root}dist/gen`, { recursive: true });
for (const name of ["messages.js", "messages.d.ts"])
  await copyFile(`${root}src/gen/${name}`, `${root}dist/gen/${name}`);
await chmod(`${root}dist/cli/main.js`, 0o755);
