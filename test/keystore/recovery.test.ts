import { Decrypter, Encrypter, identityToRecipient } from "age-encryption";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/core/index.ts";
import {
  formatRecipient,
  generateRecoveryKey,
  parseRecipient,
  recipientIn,
  recoveryProvider,
  recoveryRecipient,
} from "../../src/keystore/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";

const random = new SeededRandom(11);
const ID = "0123456789abcdef0123456789abcdef";

function newKey(): { readonly text: string; readonly recipient: Uint8Array } {
  const { text, recipient } = generateRecoveryKey(random);
  return { text: text.use((bytes) => new TextDecoder().decode(bytes)), recipient };
}

const holding = (text: string) => recoveryProvider({ ask: async () => utf8(text) });

describe("a recovery key", () => {
  it("is one of age: age's own library derives the same recipient and opens what was sealed to it", async () => {
    const { text, recipient } = newKey();
    expect(text).toMatch(/^AGE-SECRET-KEY-1[0-9A-Z]{58}$/);
    expect(await identityToRecipient(text)).toBe(formatRecipient(recipient));
    const encrypter = new Encrypter();
    encrypter.addRecipient(formatRecipient(recipient));
    const decrypter = new Decrypter();
    decrypter.addIdentity(text);
    expect(await decrypter.decrypt(await encrypter.encrypt("hello"), "text")).toBe("hello");
  });

  it("opens what was made for its recipient, whatever the case and spaces it was typed with", async () => {
    const { text, recipient } = newKey();
    const { key, parameters } = await recoveryRecipient({ recipient, random }).create(ID);
    expect(recipientIn(parameters)).toEqual(recipient);
    for (const typed of [text, text.toLowerCase(), ` ${text.slice(0, 20)} ${text.slice(20)}\n`]) {
      expect((await holding(typed).load(ID, parameters)).equals(key)).toBe(true);
    }
  });

  it("makes another key for another id, and each time anew", async () => {
    const { text, recipient } = newKey();
    const provider = recoveryRecipient({ recipient, random });
    const [first, second] = [await provider.create(ID), await provider.create(ID)];
    expect(first.key.equals(second.key)).toBe(false);
    expect((await holding(text).load("another", first.parameters)).equals(first.key)).toBe(false);
  });

  it("says that it is of something else, and by what recipient the right one is known", async () => {
    const { recipient } = newKey();
    const { parameters } = await recoveryRecipient({ recipient, random }).create(ID);
    const hint = expect.stringContaining(formatRecipient(recipient));
    await expect(holding(newKey().text).load(ID, parameters)).rejects.toMatchObject({
      code: "key.wrong",
      hint,
    });
  });

  it("is refused with one character changed, cut or added", async () => {
    const { text, recipient } = newKey();
    const { parameters } = await recoveryRecipient({ recipient, random }).create(ID);
    const isRefused = async (typed: string): Promise<void> => {
      await expect(holding(typed).load(ID, parameters)).rejects.toMatchObject({ code: "usage.bad-argument" });
    };
    for (let index = 0; index < text.length; index += 1) {
      const other = text[index] === "Q" ? "P" : "Q";
      await isRefused(`${text.slice(0, index)}${other}${text.slice(index + 1)}`);
      await isRefused(text.slice(0, index));
    }
    await isRefused(`${text}Q`);
    await isRefused(text.replace("AGE", "age"));
  });

  it("is not asked for to make a key, and the recipient alone opens nothing", async () => {
    const { recipient, text } = newKey();
    const provider = recoveryRecipient({ recipient, random });
    const { parameters } = await provider.create(ID);
    await expect(provider.load(ID, parameters)).rejects.toMatchObject({ code: "key.missing" });
    await expect(holding(text).create(ID)).rejects.toMatchObject({ code: "key.unsupported" });
  });

  it("refuses parameters that it never wrote", async () => {
    const { text, recipient } = newKey();
    const { parameters } = await recoveryRecipient({ recipient, random }).create(ID);
    for (let length = 0; length < parameters.length; length += 1) {
      await expect(holding(text).load(ID, parameters.subarray(0, length))).rejects.toMatchObject({
        code: "file.damaged",
      });
    }
  });
});

describe("a recipient", () => {
  it("comes back from its text", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1 }), (seed) => {
        const { recipient } = generateRecoveryKey(new SeededRandom(seed));
        expect(parseRecipient(formatRecipient(recipient))).toEqual(recipient);
      }),
      { numRuns: 50 },
    );
  });

  it("is refused when it is a secret key, of another kind, or of small order", () => {
    const smallOrder = formatRecipient(new Uint8Array(32));
    for (const text of [newKey().text, "age1", "ssh-ed25519 AAAA", smallOrder, "x".repeat(500), ""]) {
      expect(() => parseRecipient(text)).toThrow(expect.objectContaining({ code: "usage.bad-argument" }));
    }
  });
});
