import { isAbsolute } from "node:path";
import { fromUtf8, GatehouseError, isGatehouseError, utf8 } from "../core/index.ts";
import { readSmallFile, writeAtomic } from "../files/index.ts";

/**
 * Where the key file lies that opens a home, for the commands of that very home: a folder's name, which is no secret. A copy
 * of the home points to a folder that is not there.
 */
export async function writeKeyPointer(path: string, keyDir: string): Promise<void> {
  await writeAtomic(path, utf8(`${JSON.stringify({ keyDir })}\n`));
}

/** The folder; undefined where no pointer was written. @throws file.damaged, file.io */
export async function readKeyPointer(path: string): Promise<string | undefined> {
  let file: Uint8Array;
  try {
    file = await readSmallFile(path);
  } catch (failure) {
    if (isGatehouseError(failure, "file.not-found")) return undefined;
    throw failure;
  }
  const keyDir = keyDirOf(file);
  if (keyDir !== undefined) return keyDir;
  throw new GatehouseError(
    "file.damaged",
    `what says where this home's key file lies does not read: ${path}`,
    {
      hint: "start the daemon again: it writes the file anew",
    },
  );
}

function keyDirOf(file: Uint8Array): string | undefined {
  try {
    const { keyDir } = JSON.parse(fromUtf8(file)) as Readonly<Record<string, unknown>>;
    return typeof keyDir === "string" && isAbsolute(keyDir) ? keyDir : undefined;
  } catch {
    return undefined;
  }
}
