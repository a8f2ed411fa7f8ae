import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fromUtf8, utf8 } from "../../src/core/index.ts";
import { generateRecoveryKey, recoveryProvider, recoveryRecipient } from "../../src/keystore/index.ts";
import { Vault, type VaultCapture } from "../../src/vault/index.ts";
import { event, MemoryAudit, put, read, VaultPlace } from "./support.ts";

describe("a captured vault", () => {
  let place: VaultPlace;
  beforeEach(async () => {
    place = await VaultPlace.make();
  });
  afterEach(async () => {
    await place[Symbol.asyncDispose]();
  });

  async function reopened(name: string, { files, sequence }: VaultCapture, text: Uint8Array): Promise<Vault> {
    const dir = join(place.root, name);
    await mkdir(dir, { mode: 0o700 });
    for (const file of files) await writeFile(join(dir, file.name), file.bytes, { mode: 0o600 });
    const audit = new MemoryAudit();
    const heard = place.audit.entries.filter((entry) => entry.sequence <= sequence);
    for (const entry of heard) audit.committed(entry.sequence, entry.events);
    const kek = recoveryProvider({ ask: () => Promise.resolve(new Uint8Array(text)) });
    return await Vault.open(place.options({ dir, kek, audit }));
  }

  it("is the vault of one moment while writes go on, opened by the key it was captured for alone", async () => {
    await using vault = await place.open();
    const key = generateRecoveryKey(place.random);
    const provider = recoveryRecipient({ recipient: key.recipient, random: place.random });
    let last = 0;
    let isWriting = true;
    const writing = (async () => {
      for (let number = 1; isWriting; number += 1) {
        await put(vault, `p${number % 3}`, String(number));
        last = number;
      }
    })();
    const text = key.text.use((bytes) => new Uint8Array(bytes));
    const captures: [VaultCapture, number][] = [];
    for (let round = 0; round < 5; round += 1) {
      let atMark = 0;
      const mark = (): Promise<void> => {
        atMark = last;
        return Promise.resolve();
      };
      captures.push([await vault.capture({ provider, mark }), atMark]);
    }
    isWriting = false;
    await writing;
    for (const [round, [capture, atMark]] of captures.entries()) {
      const values = [...capture.versions()].map(({ value }) => Number(Buffer.from(value).toString()));
      const newest = Math.max(0, ...values);
      // Nothing acknowledged at the mark is missing, nothing that began after it is there, and no gap between.
      expect(newest).toBeGreaterThanOrEqual(atMark);
      expect(newest).toBeLessThanOrEqual(atMark + 1);
      await using again = await reopened(`copy-${round}`, capture, text);
      const kept = Array.from({ length: Math.min(3, newest) }, (_, back) => newest - back);
      for (const number of kept) expect(await read(again, `p${number % 3}`)).toBe(String(number));
      capture[Symbol.dispose]();
    }
    await expect(
      Vault.open(place.options({ dir: join(place.root, "copy-0"), audit: new MemoryAudit() })),
    ).rejects.toMatchObject({ code: "vault.wrong-key" });
  }, 30_000);

  it("is read by the keys of its moment, though a rotation has dropped them from the live vault", async () => {
    await using vault = await place.open();
    for (const name of ["a", "b", "c"]) await put(vault, name, `value of ${name}`);
    const key = generateRecoveryKey(place.random);
    const provider = recoveryRecipient({ recipient: key.recipient, random: place.random });
    using capture = await vault.capture({ provider, mark: () => Promise.resolve() });
    const versions = capture.versions();
    const first = versions.next();
    await vault.rotation.begin("kek", { ended: () => utf8("rotated") }, event());
    await vault.rotation.finished();
    const values = [first.value, ...versions].map((version) => fromUtf8(version?.value ?? new Uint8Array()));
    expect(values).toEqual(["value of a", "value of b", "value of c"]);
    await using again = await reopened(
      "copy",
      capture,
      key.text.use((bytes) => new Uint8Array(bytes)),
    );
    expect(await read(again, "b")).toBe("value of b");
  });
});
