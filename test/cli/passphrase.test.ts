import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { createContext, createOutput } from "../../src/cli/context.ts";
import { vaultKey } from "../../src/cli/keys.ts";
import { Passphrase } from "../../src/cli/passphrase.ts";
import { isGatehouseError } from "../../src/core/index.ts";
import type { PassphrasePrompt } from "../../src/keystore/index.ts";
import { createIo, type RunOptions } from "./support.ts";

function around(options: RunOptions = {}) {
  const { io, recorded } = createIo([], options);
  return { context: createContext(io, {}, createOutput(io, {})), recorded };
}

async function answer(
  passphrase: Passphrase,
  purpose: PassphrasePrompt["purpose"] = "open",
): Promise<string> {
  const bytes = await passphrase.ask({ purpose, id: "key" });
  if (!(bytes instanceof Uint8Array)) throw new TypeError("not bytes");
  return Buffer.from(bytes).toString("utf8");
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "no error",
    (error: unknown) => (isGatehouseError(error) ? error.code : String(error)),
  );
}

describe("a passphrase", () => {
  let directory: string;
  let file: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "gatehouse-passphrase-"));
    file = join(directory, "passphrase");
  });
  afterAll(() => rm(directory, { recursive: true }));

  const fromFile = async (content: string | Uint8Array) => {
    await writeFile(file, content);
    await chmod(file, 0o600);
    return new Passphrase(around().context, file);
  };

  it.each([
    ["correct horse", "correct horse"],
    ["correct horse\nbattery\n", "correct horse"],
    ["correct horse\r\n", "correct horse"],
    ["  blanks count \n", "  blanks count "],
  ])("is the first line of its file, whatever follows: %j", async (content, expected) => {
    expect(await answer(await fromFile(content))).toBe(expected);
  });

  it("is the first line of standard input for -, and is read once", async () => {
    const passphrase = new Passphrase(around({ stdin: "correct horse\nmore\n" }).context, "-");
    expect(await answer(passphrase, "create")).toBe("correct horse");
    expect(await answer(passphrase, "open")).toBe("correct horse");
  });

  it("is a copy each time, so that wiping one answer leaves the next", async () => {
    const passphrase = await fromFile("correct horse");
    const bytes = await passphrase.ask({ purpose: "open", id: "key" });
    if (!(bytes instanceof Uint8Array)) throw new TypeError("not bytes");
    bytes.fill(0);
    expect(await answer(passphrase)).toBe("correct horse");
  });

  it("that is empty, or in a file that is missing, a directory or open to others, is an error", async () => {
    expect(await codeOf(answer(await fromFile("\nsecond line")))).toBe("usage.bad-argument");
    expect(await codeOf(answer(await fromFile("")))).toBe("usage.bad-argument");
    expect(await codeOf(answer(new Passphrase(around().context, join(directory, "none"))))).toBe(
      "file.not-found",
    );
    const open = await fromFile("correct horse");
    await chmod(file, 0o640);
    expect(await codeOf(answer(open))).toBe("home.bad-permissions");
  });

  it("is not asked for where nobody is", async () => {
    expect(await codeOf(answer(new Passphrase(around().context, undefined)))).toBe("usage.bad-argument");
  });

  describe("at a terminal", () => {
    function typed() {
      const keyboard = new PassThrough();
      const { context, recorded } = around({ isTTY: true, stdin: keyboard });
      const type = async (prompt: string, line: string) => {
        await vi.waitUntil(() => recorded().stderr.endsWith(prompt));
        keyboard.write(`${line}\n`);
      };
      return { passphrase: new Passphrase(context, undefined), type, recorded };
    }

    it("is typed once to open, without being shown", async () => {
      const { passphrase, type, recorded } = typed();
      const answered = answer(passphrase);
      await type("passphrase (not shown): ", "correct horse");
      expect(await answered).toBe("correct horse");
      expect(recorded().stderr).not.toContain("horse");
    });

    it("is typed twice to be set, and both must be the same", async () => {
      for (const [second, outcome] of [
        ["correct horse", "no error"],
        ["correct mouse", "usage.bad-argument"],
      ] as const) {
        const { passphrase, type } = typed();
        const answered = codeOf(answer(passphrase, "create"));
        await type("new passphrase (not shown): ", "correct horse");
        await type("the same again: ", second);
        expect(await answered).toBe(outcome);
      }
    });
  });
});

describe("the key of a vault", () => {
  it("opens what it closed, for the same passphrase only", async () => {
    const keyFor = (stdin: string) =>
      vaultKey(around({ stdin }).context, { kek: "passphrase", kekPassphraseFile: "-" }).provider;
    const { key, parameters } = await keyFor("correct horse").create("v");
    expect((await keyFor("correct horse").load("v", parameters)).equals(key)).toBe(true);
    expect((await keyFor("correct mouse").load("v", parameters)).equals(key)).toBe(false);
  });

  it("is kept where it was asked for, else where the vault remembers, else in a key file", () => {
    const { context } = around();
    const kindOf = (kek: string | undefined, ...remembered: readonly string[]) =>
      vaultKey(context, kek === undefined ? {} : { kek }, remembered).provider.kind;
    expect(kindOf("command:/usr/bin/key", "passphrase")).toBe("command");
    expect(kindOf(undefined, "passphrase")).toBe("passphrase");
    expect(kindOf(undefined)).toBe("key-file");
    expect(() => kindOf("paper")).toThrowError(expect.objectContaining({ code: "usage.bad-argument" }));
    expect(() => kindOf(undefined, "command")).toThrowError(expect.objectContaining({ code: "key.missing" }));
  });
});
