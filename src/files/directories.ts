import type { Stats } from "node:fs";
import { lstat, mkdir, open, readdir, realpath, stat, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { geteuid } from "node:process";
import { GatehouseError, isGatehouseError, type UnixMs } from "../core/index.ts";
import { errnoOf, withFile } from "./failures.ts";

const PRIVATE_DIR_MODE = 0o700;
const OTHERS = 0o077;
const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/**
 * Makes `path` and what is missing above it, 0700 each and durable; one that is there already must be private.
 *
 * @throws home.bad-permissions see `checkPrivate`. @throws file.io
 */
export async function ensurePrivateDir(path: string): Promise<void> {
  const target = resolve(path);
  await withFile(target, async () => {
    const first = await mkdir(target, { recursive: true, mode: PRIVATE_DIR_MODE });
    if (first === undefined) return;
    for (let made = target; made.length >= first.length; made = dirname(made)) await syncDir(dirname(made));
  });
  await checkPrivate(target);
}

/**
 * Checks that `path` is ours alone: a file or directory (no link), owned by this user, closed to group and others.
 *
 * @throws home.bad-permissions with the command that mends it. @throws file.not-found, file.io
 */
export async function checkPrivate(path: string): Promise<void> {
  const found = await withFile(path, () => lstat(path));
  if (!found.isFile() && !found.isDirectory()) {
    throw new GatehouseError("home.bad-permissions", `${path} is neither a file nor a directory`, {
      hint: found.isSymbolicLink() ? "put the real thing in the link's place" : "move it away",
    });
  }
  if (geteuid !== undefined && found.uid !== geteuid()) {
    throw new GatehouseError("home.bad-permissions", `${path} belongs to another user`, {
      hint: `chown it to the user that runs gatehouse, or run as its owner (uid ${found.uid})`,
    });
  }
  if ((found.mode & OTHERS) !== 0) {
    const mode = found.isDirectory() ? "700" : "600";
    throw new GatehouseError("home.bad-permissions", `${path} is open to other users`, {
      hint: `chmod ${mode} ${path}`,
    });
  }
}

/**
 * Checks that nobody but this user and root can have written `path`, a regular file: what it says is believed.
 *
 * @throws home.bad-permissions with the command that mends it. @throws file.not-found, file.io
 */
export async function checkTrusted(path: string): Promise<void> {
  const target = await withFile(path, () => realpath(path));
  // Whoever may write to a folder can put another file in the place of one in it.
  for (const folder of new Set([dirname(resolve(path)), dirname(target)])) {
    checkWriters(folder, await withFile(folder, () => stat(folder)));
  }
  const found = await withFile(target, () => stat(target));
  if (!found.isFile()) throw new GatehouseError("home.bad-permissions", `${path} is not a regular file`);
  checkWriters(path, found);
}

function checkWriters(path: string, found: Stats): void {
  const { uid, mode } = found;
  if (geteuid !== undefined && uid !== geteuid() && uid !== 0) {
    throw new GatehouseError("home.bad-permissions", `${path} belongs to another user`, {
      hint: `chown it to the user that runs gatehouse, or to root`,
    });
  }
  // In a sticky folder each may replace files of their own only.
  const isSticky = found.isDirectory() && (mode & STICKY) !== 0;
  if ((mode & WRITABLE_BY_OTHERS) !== 0 && !isSticky) {
    throw new GatehouseError("home.bad-permissions", `${path} can be changed by other users`, {
      hint: `chmod go-w ${path}`,
    });
  }
}

/**
 * `checkPrivate` for `path` and everything in it. What goes away meanwhile is passed over: other processes replace
 * files by renaming.
 *
 * @throws home.bad-permissions with the command that mends it. @throws file.not-found for `path` itself, file.io
 */
export async function checkPrivateTree(path: string): Promise<void> {
  await checkPrivate(path);
  for (const entry of await withFile(path, () => readdir(path, { withFileTypes: true }))) {
    const inner = join(path, entry.name);
    try {
      await (entry.isDirectory() ? checkPrivateTree(inner) : checkPrivate(inner));
    } catch (failure) {
      if (!isGatehouseError(failure, "file.not-found")) throw failure;
    }
  }
}

/** Makes the names in the directory durable: a rename or link is safe only after this. */
export async function syncDir(path: string): Promise<void> {
  await withFile(path, async () => {
    const handle = await open(path, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

/** Temporary files of `writeAtomic` and `createOnce`; see `temporaryName`. */
const TEMPORARY = /^\..+\.[0-9a-f]{32}\.tmp$/;

/**
 * Removes temporary files that a killed process left in `dir`, if they were last written before `before`
 * (younger ones may belong to a live one). Answers how many.
 */
export async function removeLeftovers(dir: string, before: UnixMs): Promise<number> {
  const names = (await withFile(dir, () => readdir(dir))).filter((name) => TEMPORARY.test(name));
  const removed = await Promise.all(names.map((name) => removeIfOlder(join(dir, name), before)));
  return removed.filter(Boolean).length;
}

async function removeIfOlder(path: string, before: UnixMs): Promise<boolean> {
  try {
    if ((await stat(path)).mtimeMs >= before) return false;
    await unlink(path);
    return true;
  } catch (failure) {
    // Its owner, or another cleaner, was quicker.
    if (errnoOf(failure) === "ENOENT") return false;
    throw failure;
  }
}
