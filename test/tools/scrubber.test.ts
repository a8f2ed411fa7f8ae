import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isGatehouseError } from "../../src/core/index.ts";
import { Scrubber } from "../../src/tools/index.ts";
import { times } from "../support/effort.ts";

const SECRET = "hunter2!Korrekt/Pferd+Batterie";
const PEM = [
  "-----BEGIN KEY-----",
  "MIIEvQIBADANBgkqhkiG9w0BAQEF",
  "AASCBKcwggSjAgEAAoIBAQC7",
  "-----END KEY-----",
  "",
];

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

/** All of `input`, cut at `cuts` (any numbers). */
function scrubbed(secrets: readonly Uint8Array[], input: Uint8Array, cuts: readonly number[] = []): Buffer {
  const scrubber = new Scrubber(secrets);
  const places = cuts.map((cut) => cut % (input.length + 1)).toSorted((a, b) => a - b);
  const borders = [0, ...places, input.length];
  const parts = borders.slice(1).map((end, index) => scrubber.push(input.subarray(borders[index], end)));
  return Buffer.concat([...parts, scrubber.end()]);
}

const textOf = (secret: string, input: string): string => scrubbed([bytes(secret)], bytes(input)).toString();

/** The plain twins of what the scrubber looks for, each from the secret's bytes. */
const ENCODINGS: Readonly<Record<string, (secret: Buffer) => string>> = {
  plain: (secret) => secret.toString("latin1"),
  base64: (secret) => secret.toString("base64"),
  "base64 without padding": (secret) => secret.toString("base64").replace(/=+$/, ""),
  base64url: (secret) => secret.toString("base64url"),
  "base64 after a byte": (secret) => Buffer.concat([Buffer.from("x"), secret]).toString("base64"),
  "base64url after two": (secret) => Buffer.concat([Buffer.from("xy"), secret]).toString("base64url"),
  "base64 amid others": (secret) =>
    Buffer.concat([Buffer.from("ab:"), secret, Buffer.from("zz")]).toString("base64"),
  "base64 in lines": (secret) => secret.toString("base64").replace(/.{76}(?=.)/g, "$&\n"),
  hex: (secret) => secret.toString("hex"),
  HEX: (secret) => secret.toString("hex").toUpperCase(),
  reversed: (secret) => Buffer.from(secret).reverse().toString("latin1"),
};
/** Its neighbours' symbols stay. */
const AMID = ENCODINGS["base64 amid others"];
const TEXT_ENCODINGS: Readonly<Record<string, (text: string) => string>> = {
  encodeURIComponent: (text) => encodeURIComponent(text),
  "percent in lower case": (text) => encodeURIComponent(text).replace(/%../g, (code) => code.toLowerCase()),
  JSON: (text) => JSON.stringify(text).slice(1, -1),
  "reversed by character": (text) => Array.from(text).toReversed().join(""),
};

describe("a scrubber", () => {
  it.each(Object.entries(ENCODINGS))("takes out a secret that is written in %s", (_, encode) => {
    const written = encode(Buffer.from(SECRET));
    const shown = textOf(SECRET, `before ${written} after`);
    // What shares a symbol of base64 with something else stays.
    expect(shown).toMatch(/^before [\w-]{0,7}\[secret\][\w=-]{0,5} after$/);
  });

  it.each(Object.entries(TEXT_ENCODINGS))("takes out a text with odd characters in %s", (_, encode) => {
    const secret = 'pa"ss\\wörd 100%\n\u0001 😀 (x)';
    expect(textOf(secret, `before ${encode(secret)} after`)).toBe("before [secret] after");
  });

  it("takes out a secret that a shell has trimmed, and each line of a longer one", () => {
    expect(textOf("hunter2\n", "it is hunter2.")).toBe("it is [secret].");
    expect(textOf("  hunter2\t\r\n", Buffer.from("hunter2").toString("hex"))).toBe("[secret]");
    const [, second = "", third = ""] = PEM;
    expect(textOf(PEM.join("\n"), `> ${third}\n> ${second}\n`)).toBe("> [secret]\n> [secret]\n");
    expect(textOf(PEM.join("\r\n"), `> ${third}`)).toBe("> [secret]");
    expect(textOf("short\nlines", "short lines")).toBe("short lines");
  });

  it("takes out long secrets as base64(1) and openssl write them", () => {
    const secret = "0123456789abcdef".repeat(12);
    const base64 = Buffer.from(secret).toString("base64");
    for (const columns of [64, 76]) {
      const lines = base64.replace(new RegExp(`.{${columns}}(?=.)`, "g"), "$&\n");
      expect(textOf(secret, lines)).toBe("[secret]");
    }
  });

  it("makes one of occurrences that overlap, and two of neighbours", () => {
    const scrub = (input: string): string =>
      scrubbed([bytes("abcdef"), bytes("cdefgh")], bytes(input)).toString();
    expect(scrub("xabcdefghy")).toBe("x[secret]y");
    expect(scrub("abcdefabcdef")).toBe("[secret][secret]");
    expect(textOf("aaaa", `x${"a".repeat(1_000)}y`)).toBe("x[secret]y");
  });

  it("prefers the longer of two secrets that begin alike", () => {
    const scrub = (input: string): string =>
      scrubbed([bytes("abcd"), bytes("abcdefgh")], bytes(input)).toString();
    expect(scrub("abcdefgh")).toBe("[secret]");
    expect(scrub("abcdefg")).toBe("[secret]efg");
  });

  it("holds back only what may still become a secret", () => {
    const scrubber = new Scrubber([bytes(SECRET)]);
    const push = (text: string): string => Buffer.from(scrubber.push(bytes(text))).toString();
    expect(push("Password: ")).toBe("Password: ");
    expect(push("hunt")).toBe("");
    expect(push("ing")).toBe("hunting");
    expect(push("h")).toBe("");
    expect(push("hu")).toBe("h");
    expect(Buffer.from(scrubber.end()).toString()).toBe("hu");
    expect(push(`${SECRET.slice(0, -1)}`)).toBe("");
    expect(push(SECRET.slice(-1))).toBe("[secret]");
  });

  it("does not hold an endless row of secrets", () => {
    const scrubber = new Scrubber([bytes("aaaa")]);
    const row = bytes("a".repeat(1_000));
    expect(Buffer.from(scrubber.push(row)).toString()).toBe("[secret]");
    for (let round = 0; round < 10; round += 1) expect(scrubber.push(row)).toHaveLength(0);
    expect(Buffer.from(scrubber.push(bytes("b"))).toString()).toBe("b");
  });

  it("chooses another mask where a secret could be made of it", () => {
    const written = '["a","b"]';
    const shown = textOf(written, `x${written}y${Array.from(written).toReversed().join("")}`);
    expect(shown).not.toContain(written);
    expect(textOf("secret", "a secret")).toBe("a [hidden]");
    expect(textOf("]abc", "x]abcabc")).toBe("x(secret)abc");
  });

  it("scrubs a second stream of the same secrets on its own", () => {
    using first = new Scrubber([bytes(SECRET)]);
    const second = new Scrubber(first);
    expect(first.push(bytes(SECRET.slice(0, 10)))).toHaveLength(0);
    expect(Buffer.from(second.push(bytes(`x${SECRET}`))).toString()).toBe("x[secret]");
    expect(Buffer.from(first.push(bytes(SECRET.slice(10)))).toString()).toBe("[secret]");
  });

  it("takes a chunk with a million secrets", () => {
    const shown = scrubbed([bytes("abcd")], bytes("abcd-".repeat(1_000_000)));
    expect(shown).toHaveLength(9_000_000);
  });

  it("answers bytes of its own", () => {
    const chunk = bytes("abc");
    const answer = new Scrubber([]).push(chunk);
    chunk.fill(0);
    expect(Buffer.from(answer).toString()).toBe("abc");
  });

  it.each([
    ["shorter than 4 bytes", [bytes("abc")]],
    ["shorter than 4 bytes", [bytes("long enough"), bytes("")]],
    ["longer than 65536 bytes", [new Uint8Array(65_537)]],
    ["more than 131072 bytes together", [1, 2, 3].map((fill) => new Uint8Array(65_536).fill(fill))],
  ])("refuses secrets of %s", (why, secrets) => {
    const failure = catchError(() => new Scrubber(secrets));
    expect(isGatehouseError(failure, "tool.secret-unfit") && failure.message.endsWith(why)).toBe(true);
  });

  it("shows no secret, in any form, cut anywhere, amid anything", () => {
    const secret = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 40 }),
      fc.string({ unit: "grapheme", minLength: 4, maxLength: 20 }).map(bytes),
      fc.constant(bytes(PEM.join("\n"))),
    );
    const filler = fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.string({ maxLength: 20 }).map(bytes));
    const forms = fc.shuffledSubarray([...Object.values(ENCODINGS)], { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(
        secret,
        forms,
        filler,
        fc.array(fc.nat(), { maxLength: 8 }),
        (key, encodings, rest, cuts) => {
          const buffer = Buffer.from(key);
          const written = encodings.map((encode) => Buffer.from(encode(buffer), "latin1"));
          const input = Buffer.concat(written.flatMap((form) => [form, Buffer.from(rest)]));
          const output = scrubbed([key], input, cuts);
          expect(output.includes(buffer)).toBe(false);
          const shown = written.filter((form, index) => encodings[index] !== AMID && output.includes(form));
          expect(shown).toEqual([]);
          expect(output.equals(scrubbed([key], input))).toBe(true);
        },
      ),
      { numRuns: times({ short: 300, long: 5_000 }) },
    );
  });

  it("passes on everything else as it came, cut anywhere", () => {
    // None of the forms of an upper-case secret can be made of these bytes.
    const input = fc.uint8Array({ min: 0x80, maxLength: 200 });
    fc.assert(
      fc.property(input, fc.array(fc.nat(), { maxLength: 8 }), (other, cuts) => {
        expect(scrubbed([bytes(SECRET)], other, cuts).equals(other)).toBe(true);
      }),
    );
  });

  it("finds what a search of the whole finds, cut anywhere", () => {
    const alphabet = fc.constantFrom("a", "b", "A", "B");
    const secret = fc.string({ unit: alphabet, minLength: 4, maxLength: 6 });
    const input = fc.string({ unit: alphabet, maxLength: 60 });
    fc.assert(
      fc.property(
        fc.array(secret, { minLength: 1, maxLength: 3 }),
        input,
        fc.array(fc.nat()),
        (keys, text, cuts) => {
          expect(scrubbed(keys.map(bytes), bytes(text), cuts).toString()).toBe(searched(keys, text));
        },
      ),
      { numRuns: times({ short: 500, long: 20_000 }) },
    );
  });
});

/** The plain twin, for secrets that no encoding of theirs can look like: every place against every secret. */
function searched(keys: readonly string[], text: string): string {
  const forms = keys.flatMap((key) => {
    const trios = ["", "x", "xy"].map((before) => {
      const base64 = Buffer.from(before + key).toString("base64url");
      const start = Math.ceil((before.length * 8) / 6);
      return base64.slice(start, Math.floor(((before.length + key.length) * 8) / 6));
    });
    return [key, Array.from(key).toReversed().join(""), ...trios];
  });
  const isCovered = Array.from(text, () => 0);
  for (const form of forms) {
    for (let at = text.indexOf(form); at !== -1; at = text.indexOf(form, at + 1)) {
      for (let index = at; index < at + form.length; index += 1) isCovered[index] = 1;
    }
  }
  return joinedRuns(forms, text, isCovered);
}

/** Overlapping occurrences are one; those that only touch are two. */
function joinedRuns(forms: readonly string[], text: string, isCovered: readonly number[]): string {
  let shown = "";
  for (let index = 0; index < text.length; index += 1) {
    const isSeam = !forms.some((form) => {
      for (let at = Math.max(0, index - form.length + 1); at < index; at += 1) {
        if (text.startsWith(form, at)) return true;
      }
      return false;
    });
    if (isCovered[index] === 0) shown += text[index];
    else if (isSeam) shown += "[secret]";
  }
  return shown;
}

function catchError(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}
