import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";

/** Bytes of every file under a folder, by path within it, in order of path. */
export type Tree = ReadonlyMap<string, Uint8Array>;

export async function readTree(root: string): Promise<Tree> {
  const found = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const tree = new Map<string, Uint8Array>();
  for (const path of paths.sort()) tree.set(relative(root, path), new Uint8Array(await readFile(path)));
  return tree;
}

/** Files 0600 in folders 0700; what is there already and not in `tree` stays. */
export async function writeTree(root: string, tree: Tree): Promise<void> {
  for (const [path, bytes] of tree) {
    await mkdir(dirname(join(root, path)), { recursive: true, mode: 0o700 });
    await writeFile(join(root, path), bytes, { mode: 0o600 });
  }
}
