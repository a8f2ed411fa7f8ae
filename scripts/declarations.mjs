// Writes to dist/ the declarations that dist/index.d.ts leads to: what the library's users see, and no more.
import { spawnSync } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execPath } from "node:process";

/** Of static, re-exporting and type imports alike. */
const RELATIVE = /(?<=\bfrom |\bimport\()"(\.[^"]+)\.[jt]s"/g;

export async function writeDeclarations(root) {
  const all = await mkdtemp(join(tmpdir(), "gatehouse-declarations-"));
  try {
    const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
    const args = [tsc, "-p", join(root, "tsconfig.build.json"), "--outDir", all];
    const { status } = spawnSync(execPath, args, { stdio: "inherit" });
    if (status !== 0) throw new Error(`tsc ended with ${status}`);
    await copyFile(join(root, "src/gen/messages.d.ts"), join(all, "gen/messages.d.ts"));
    await copyReachable(all, join(root, "dist"));
  } finally {
    await rm(all, { recursive: true, force: true });
  }
}

async function copyReachable(from, to) {
  const wanted = ["index.d.ts"];
  // Grows while it is walked.
  for (const path of wanted) {
    const text = await readFile(join(from, path), "utf8");
    for (const [, module] of text.matchAll(RELATIVE)) {
      const next = join(dirname(path), `${module}.d.ts`);
      if (!wanted.includes(next)) wanted.push(next);
    }
    await mkdir(dirname(join(to, path)), { recursive: true });
    // tsc leaves `.ts` in declarations, which no `.ts` of ours is beside of.
    await writeFile(join(to, path), text.replace(RELATIVE, '"$1.js"'));
  }
}
