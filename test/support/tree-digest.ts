import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";

/** SHA-256 of every file below `root` by its path, but for those named in `except`: what must not have changed. */
export async function treeDigest(
  root: string,
  except: readonly string[] = [],
): Promise<Readonly<Record<string, string>>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  const digests = paths.sort().map(async (path): Promise<readonly [string, string]> => {
    const digest = createHash("sha256")
      .update(await readFile(path))
      .digest("hex");
    return [relative(root, path), digest];
  });
  return Object.fromEntries((await Promise.all(digests)).filter(([path]) => !except.includes(path)));
}
