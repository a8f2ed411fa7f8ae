import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { generateRecoveryKey, recoveryRecipient } from "../../src/keystore/index.ts";
import { hkdf, keyringIn, shared, slotsOf } from "./by-hand.ts";
import { put, VaultPlace } from "./support.ts";

/** The steps of docs/keys.md by node:crypto alone; nothing of src/ opens anything here. */

const SYMBOLS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

function secretOf(text: string): Buffer {
  const data = text.toLowerCase().slice("age-secret-key-1".length, -6);
  const symbols = Array.from(data, (symbol) => SYMBOLS.indexOf(symbol));
  const bits = symbols.map((symbol) => symbol.toString(2).padStart(5, "0")).join("");
  return Buffer.from(
    Array.from({ length: 32 }, (_, index) => Number.parseInt(bits.slice(8 * index, 8 * index + 8), 2)),
  );
}

describe("the documented steps", () => {
  it("open a header with the recovery key, and give the same keyring as the key file", async () => {
    await using place = await VaultPlace.make();
    const { text, recipient } = generateRecoveryKey(place.random);
    {
      await using vault = await place.open();
      await vault.keys.addSlot(recoveryRecipient({ recipient, random: place.random }), 7);
      await put(vault, "a/b", "value");
    }
    const file = await readFile(join(place.dir, "header"));
    const [head, id] = [file.subarray(0, 28), file.subarray(4, 20)];
    const slots = slotsOf(file);
    expect(slots.map(({ kind }) => kind)).toEqual(["key-file", "recovery"]);
    const keyFile = await readFile(join(place.keys, `${id.toString("hex")}.kek`));
    const recovery = slots[1]?.parameters ?? Buffer.alloc(0);
    const [owner, ephemeral] = [recovery.subarray(1, 33), recovery.subarray(33)];
    const secret = secretOf(text.use((bytes) => Buffer.from(bytes).toString()));
    const info = `gatehouse/v1/keystore/recovery/${id.toString("hex")}`;
    const provided = [
      keyFile.subarray(23, 55),
      hkdf(shared(secret, ephemeral), Buffer.concat([ephemeral, owner]), info, 32),
    ];
    const keyrings = slots.map((slot, index) =>
      keyringIn(slot, { provided: provided[index] ?? Buffer.alloc(0), id, head }),
    );
    expect(keyrings[0]).toEqual(keyrings[1]);
    expect(keyrings[0]?.subarray(0, 6).toString("hex")).toBe("000100000001");
    // A term and the root, and nothing that would open a later header.
    expect(keyrings[0]).toHaveLength(2 + 36 + 32);
    for (const [index, slot] of slots.entries()) {
      const slotKey = hkdf(provided[index] ?? Buffer.alloc(0), id, "gatehouse/v1/vault/key-slot", 32);
      const proofKey = hkdf(slotKey, id, "gatehouse/v1/vault/key-slot/proof", 32);
      const root = keyrings[0]?.subarray(38) ?? Buffer.alloc(0);
      const rootProof = hkdf(root, id, "gatehouse/v1/vault/root-proof", 32);
      expect(slot.proof).toEqual(createHmac("sha256", proofKey).update(rootProof).digest());
    }
  });
});
