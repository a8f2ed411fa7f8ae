import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createContext, createOutput } from "../../src/cli/context.ts";
import { exitCodeFor, failureDocument } from "../../src/cli/failure.ts";
import { readLine, readValue } from "../../src/cli/input.ts";
import { ERROR_CODES, GatehouseError, isErrorCode, isGatehouseError, LIMITS } from "../../src/core/index.ts";
import { createIo, type RunOptions } from "./support.ts";

function context(options: RunOptions) {
  const { io } = createIo([], options);
  return createContext(io, {}, createOutput(io, {}));
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => "no error",
    (error: unknown) => (isGatehouseError(error) ? error.code : String(error)),
  );
}

describe("a value", () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "gatehouse-input-"));
  });
  afterAll(() => rm(directory, { recursive: true }));

  it.each([
    ["text with a line end", Buffer.from("two\nlines\n")],
    ["nothing", Buffer.alloc(0)],
    ["every byte there is", Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))],
    ["exactly as much as may be", Buffer.alloc(LIMITS.secretValueBytes, 7)],
  ])("is taken byte for byte from a pipe and from a file: %s", async (_, bytes) => {
    const file = join(directory, "value");
    await writeFile(file, bytes);
    expect(Buffer.from(await readValue(context({ stdin: bytes }), undefined)).equals(bytes)).toBe(true);
    expect(Buffer.from(await readValue(context({ stdin: bytes }), "-")).equals(bytes)).toBe(true);
    expect(Buffer.from(await readValue(context({}), file)).equals(bytes)).toBe(true);
  });

  it("is refused with one byte too many, wherever it comes from", async () => {
    const bytes = Buffer.alloc(LIMITS.secretValueBytes + 1);
    const file = join(directory, "large");
    await writeFile(file, bytes);
    expect(await codeOf(readValue(context({ stdin: bytes }), undefined))).toBe("vault.too-large");
    expect(await codeOf(readValue(context({}), file))).toBe("vault.too-large");
  });

  it("from a file that is not there or is a directory is a clear error", async () => {
    expect(await codeOf(readValue(context({}), join(directory, "absent")))).toBe("file.not-found");
    expect(await codeOf(readValue(context({}), directory))).toBe("usage.bad-argument");
  });

  it("is not waited for any longer once the command was told to stop", async () => {
    const stop = new AbortController();
    const { io } = createIo([], { stop: stop.signal });
    const silent = new PassThrough();
    const here = createContext({ ...io, stdin: silent }, {}, createOutput(io, {}));
    const reading = codeOf(readValue(here, undefined));
    stop.abort("SIGTERM");
    expect(await reading).toBe("Interrupted: interrupted");
    expect(silent.destroyed).toBe(true);
  });
});

describe("a line", () => {
  it("is the first one, without blanks around it", async () => {
    expect(await readLine(context({ stdin: " 123 456 \r\nmore\n" }))).toBe("123 456");
    expect(await readLine(context({ stdin: "123456" }))).toBe("123456");
  });

  it("that does not end is refused", async () => {
    expect(await codeOf(readLine(context({ stdin: "x".repeat(5_000) })))).toBe("usage.bad-argument");
  });
});

describe("a failure", () => {
  it("ends with its code's exit code and says whether to try again, for every code there is", () => {
    for (const code of Object.keys(ERROR_CODES)) {
      if (!isErrorCode(code)) throw new Error(code);
      const error = new GatehouseError(code, "it broke", { hint: "mend it" });
      expect(exitCodeFor(error)).toBe(ERROR_CODES[code].exit);
      const retryable = "retryable" in ERROR_CODES[code];
      expect(failureDocument(error)).toEqual({
        error: { code, message: "it broke", hint: "mend it", retryable },
      });
    }
  });

  it("that nobody expected ends with 1", () => {
    expect(exitCodeFor(new Error("?"))).toBe(1);
    expect(failureDocument(new Error("?")).error).toMatchObject({ code: "unexpected", retryable: false });
    expect(failureDocument("thrown text").error.message).toBe("something broke");
  });
});
