import { scryptSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { hex, SecretBytes, systemRandom, utf8 } from "../../src/core/index.ts";
import { type AskPassphrase, type PassphrasePrompt, passphraseProvider } from "../../src/keystore/index.ts";
import { ID, keyHex } from "./support.ts";

const GOOD = "correct horse battery";
const says =
  (text: string): AskPassphrase =>
  async () =>
    utf8(text);
const providerFor = (ask: AskPassphrase) => passphraseProvider({ ask, random: systemRandom });

describe("a passphrase", () => {
  it("makes the same key each time, by scrypt over the salt that is kept", async () => {
    const { key, parameters } = await providerFor(says(GOOD)).create(ID);
    expect(keyHex(await providerFor(says(GOOD)).load(ID, parameters))).toBe(keyHex(key));
    expect([...parameters.subarray(0, 4)]).toEqual([1, 17, 8, 1]);
    const [salt, maxmem] = [parameters.subarray(4), 2 ** 28];
    expect(salt).toHaveLength(16);
    expect(hex(scryptSync(GOOD, salt, 32, { N: 2 ** 17, r: 8, p: 1, maxmem }))).toBe(keyHex(key));
  });

  it("makes another key with another salt, and of other words", async () => {
    const { key, parameters } = await providerFor(says(GOOD)).create(ID);
    expect(keyHex((await providerFor(says(GOOD)).create(ID)).key)).not.toBe(keyHex(key));
    const wrong = await providerFor(says("correct horse batterz")).load(ID, parameters);
    expect(keyHex(wrong)).not.toBe(keyHex(key));
  });

  it("leaves the event loop free while the key is made", async () => {
    let turns = 0;
    const ticking = setInterval(() => {
      turns += 1;
    }, 5);
    await providerFor(says(GOOD)).create(ID);
    clearInterval(ticking);
    expect(turns).toBeGreaterThan(3);
  });

  it("is asked for with what it is for, and its bytes are wiped", async () => {
    const prompts: PassphrasePrompt[] = [];
    const lent = utf8(GOOD);
    const secret = new SecretBytes(utf8(GOOD));
    const { parameters } = await providerFor(async (prompt) => {
      prompts.push(prompt);
      return lent;
    }).create(ID);
    await providerFor(async (prompt) => {
      prompts.push(prompt);
      return secret;
    }).load(ID, parameters);
    expect(prompts).toEqual([
      { purpose: "create", id: ID },
      { purpose: "open", id: ID },
    ]);
    expect(lent.every((byte) => byte === 0)).toBe(true);
    expect(() => secret.length).toThrow("used after disposal");
  });

  it("may be typed composed or not", async () => {
    const { key, parameters } = await providerFor(says("pâté en croûte".normalize("NFC"))).create(ID);
    const other = await providerFor(says("pâté en croûte".normalize("NFD"))).load(ID, parameters);
    expect(keyHex(other)).toBe(keyHex(key));
  });

  it("of less than eight characters is refused when it is set, and wiped", async () => {
    for (const text of ["", "seven c", "ééééééé"]) {
      const lent = utf8(text);
      const failure = await providerFor(async () => lent)
        .create(ID)
        .catch((error: unknown) => error);
      expect(failure).toMatchObject({
        code: "usage.bad-argument",
        message: "a passphrase has at least 8 characters",
      });
      expect(lent.every((byte) => byte === 0)).toBe(true);
    }
    await expect(providerFor(says("éééééééé")).create(ID)).resolves.toBeDefined();
  });

  it("that is too long or no text is refused", async () => {
    for (const bytes of [new Uint8Array(1_025).fill(0x61), Uint8Array.of(0x61, 0xff, 0x61, 1, 2, 3, 4, 5)]) {
      await expect(providerFor(async () => Uint8Array.from(bytes)).create(ID)).rejects.toMatchObject({
        code: "usage.bad-argument",
      });
    }
  });
});

describe("the parameters of a passphrase", () => {
  it("that ask for more work or memory than is allowed are refused before anybody is asked", async () => {
    const { parameters } = await providerFor(says(GOOD)).create(ID);
    const provider = providerFor(() => Promise.reject(new Error("asked")));
    const changed = (at: number, value: number): Uint8Array =>
      parameters.map((byte, index) => (index === at ? value : byte));
    const bad = [
      ...[0, 2, 255].map((format) => changed(0, format)),
      ...[0, 1, 14, 19, 33, 40, 255].map((logN) => changed(1, logN)),
      ...[0, 1, 7, 9, 255].map((blockSize) => changed(2, blockSize)),
      ...[0, 3, 255].map((parallel) => changed(3, parallel)),
      ...Array.from(parameters, (_, size) => parameters.subarray(0, size)),
      Buffer.concat([parameters, Buffer.of(0)]),
    ];
    for (const bytes of bad) {
      await expect(provider.load(ID, bytes)).rejects.toMatchObject({ code: "file.damaged", exitCode: 9 });
    }
  });

  it("may ask for the most that is allowed", async () => {
    const dearest = Uint8Array.from([1, 18, 8, 2, ...new Uint8Array(16).fill(5)]);
    const key = await providerFor(says(GOOD)).load(ID, dearest);
    const [salt, maxmem] = [dearest.subarray(4), 2 ** 30];
    expect(hex(scryptSync(GOOD, salt, 32, { N: 2 ** 18, r: 8, p: 2, maxmem }))).toBe(keyHex(key));
  }, 60_000);
});
