/**
 * Stores secret after secret as the owner until its daemon is gone, and says each time what was acknowledged.
 * Arguments: home, port, prefix. Output: a JSON line for each acknowledged put.
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { METHODS } from "../../src/gen/index.ts";
import { OwnerDoor } from "./owner-door.ts";

export const WRITER_PATH = fileURLToPath(import.meta.url);

/** What a writer stores under `path`: 200 to 455 bytes that follow from the path alone. */
export function valueFor(path: string): Uint8Array {
  const seed = createHash("sha256").update(path).digest();
  const value = Buffer.alloc(200 + (seed[0] ?? 0));
  for (let offset = 0; offset < value.length; offset += seed.length) seed.copy(value, offset);
  return value;
}

async function write(home: string, port: number, prefix: string): Promise<void> {
  await using door = await OwnerDoor.open(home, port);
  for (let index = 0; ; index += 1) {
    const path = `${prefix}/${index}`;
    const { version } = await door.call(METHODS.Vault.Put, { path, value: valueFor(path) });
    process.stdout.write(`${JSON.stringify({ path, version: Number(version) })}\n`);
  }
}

if (process.argv[1] === WRITER_PATH) {
  const [home = "", port = "", prefix = ""] = process.argv.slice(2);
  // The daemon's death is how a writer ends.
  await write(home, Number(port), prefix).catch(() => process.exit(0));
}
