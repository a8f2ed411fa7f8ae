import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { hex } from "../../src/core/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import { bytesOf, overwrite, Place } from "./support.ts";

/** Files as they were once written, of one identity: open, sealed, its second TLS key, and the key to the sealed one. */
const GOLDEN = fileURLToPath(new URL("golden", import.meta.url));
const RING_FILE = "tls-484d94a215d79981.key";
const KEK_FILE = "8f9fe2f6999a927c18a6a6feb52223a5.kek";

const ID = "pshrnlxzg4urxtstxsmau3otgn47qkx3vxnk44jan3pbxnf2nqwagudl";
const FIRST_KEY = "8ba0c654caf9282052fcb834e428502a630aec8819bc71166ca34822a6fa1113";
const SECOND_KEY = "484d94a215d7998173d17cdd102b799606543a8ad1e2cd402c15d58331677e0d";

describe("an identity of every format that was ever written", () => {
  it.each([["format-1.key", undefined] as const, ["format-2.key", "key-file"] as const])(
    "still opens with all its keys (%s)",
    async (file, kind) => {
      await using place = await Place.make();
      const [dir, keyDir] = [place.home(), join(place.root, "keys")];
      for (const path of [dir, keyDir]) await mkdir(path, { mode: 0o700 });
      await overwrite(dir, "identity.key", await bytesOf(GOLDEN, file));
      await overwrite(dir, RING_FILE, await bytesOf(GOLDEN, RING_FILE));
      await overwrite(keyDir, KEK_FILE, await bytesOf(GOLDEN, KEK_FILE));
      expect(await DeviceIdentity.sealedBy(dir)).toBe(kind);
      const keys = kind === undefined ? undefined : place.keys;
      const identity = await DeviceIdentity.open(dir, { keys });
      expect(identity.id).toBe(ID);
      expect(identity.tlsKeys.map(({ spkiSha256 }) => hex(spkiSha256))).toEqual([SECOND_KEY, FIRST_KEY]);
    },
  );
});
