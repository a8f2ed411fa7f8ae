import { promises } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { expect, it } from "vitest";
import { systemFiles } from "../../src/vault/index.ts";
import { VaultPlace } from "./support.ts";

/** Fails the `nth` listing of a folder from now on, as a disk does that broke just then. */
function failListing(nth: number): Disposable {
  const { readdir } = promises;
  let count = 0;
  const failing = async (...args: Parameters<typeof readdir>) => {
    count += 1;
    if (count === nth) throw Object.assign(new Error("EIO: injected"), { code: "EIO" });
    return await readdir(...args);
  };
  const set = (value: unknown): void => {
    Object.assign(promises, { readdir: value });
    syncBuiltinESMExports();
  };
  set(failing);
  return { [Symbol.dispose]: () => set(readdir) };
}

it.each([1, 2])("a vault's folder whose listing %d fails is refused with a code", async (nth) => {
  await using place = await VaultPlace.make();
  await using _vault = await place.open();
  using _failing = failListing(nth);
  await expect(systemFiles.list(place.dir)).rejects.toMatchObject({ code: "file.io" });
});
