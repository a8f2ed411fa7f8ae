/** What a command reads from the person or the pipe in front of it. */
import { createReadStream } from "node:fs";
import { createInterface, type Interface } from "node:readline/promises";
import { type Readable, Writable } from "node:stream";
import { concat, GatehouseError, LIMITS, utf8 } from "../core/index.ts";
import type { Context } from "./context.ts";
import { Interrupted } from "./failure.ts";

/** True when somebody at the keyboard can be asked. */
export function canAsk({ io, output }: Context): boolean {
  return io.stdin.isTTY === true && io.stderr.isTTY === true && !output.isJson;
}

/** One line from the terminal, shown as it is typed; without the line end. */
export async function askLine(context: Context, prompt: string): Promise<string> {
  return ask(context, prompt, "shown");
}

/** One line from the terminal that is not shown. */
export async function askHidden(context: Context, prompt: string): Promise<string> {
  return ask(context, prompt, "hidden");
}

/** True for an answer that begins with `y`. */
export async function confirm(context: Context, question: string): Promise<boolean> {
  return /^y/i.test(await ask(context, `${question} [y/N] `, "shown"));
}

/** The first line of standard input, at most 4 KiB of it. */
export async function readLine({ io, signal }: Context): Promise<string> {
  let text = "";
  for await (const chunk of abortable(io.stdin, signal)) {
    text += Buffer.from(chunk).toString("utf8");
    const end = text.indexOf("\n");
    if (end >= 0) return text.slice(0, end).trim();
    if (text.length > 4_096)
      throw new GatehouseError("usage.bad-argument", "the first line of input is too long");
  }
  return text.trim();
}

/**
 * A secret's value: from `file`, from standard input for `-` or when it is piped, else asked for without echo.
 * A file and a pipe are taken byte for byte, a final line end included.
 *
 * @throws GatehouseError `vault.too-large` as soon as one byte more than allowed was read; `file.not-found`.
 */
export async function readValue(context: Context, file: string | undefined): Promise<Uint8Array> {
  const { io, signal } = context;
  if (file !== undefined && file !== "-") return readFileValue(file, signal);
  if (file === undefined && canAsk(context)) return utf8(await askHidden(context, "value (not shown): "));
  return collect(abortable(io.stdin, signal));
}

/**
 * All of a text file, `-` being standard input; without a byte order mark.
 *
 * @throws GatehouseError `usage.bad-argument` past `sizeBytesMax`, for what is not UTF-8, and for what may not be read;
 * `file.not-found`.
 */
export async function readTextFile(context: Context, file: string, sizeBytesMax: number): Promise<string> {
  const { signal } = context;
  const read = (chunks: AsyncIterable<Uint8Array>) =>
    collect(chunks, sizeBytesMax, () => tooLong(sizeBytesMax));
  const bytes = await (file === "-"
    ? read(readInput(context))
    : fromFile(file, (path) => read(createReadStream(path, { signal }))));
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new GatehouseError("usage.bad-argument", `${file} is not UTF-8 text`, { cause });
  } finally {
    bytes.fill(0);
  }
}

function readFileValue(file: string, signal: AbortSignal): Promise<Uint8Array> {
  return fromFile(file, (path) => collect(createReadStream(path, { signal })));
}

async function fromFile<Content>(file: string, read: (file: string) => Promise<Content>): Promise<Content> {
  try {
    return await read(file);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT") throw new GatehouseError("file.not-found", `no file ${file}`, { cause: error });
    if (code === "EISDIR")
      throw new GatehouseError("usage.bad-argument", `${file} is a directory`, { cause: error });
    if (code === "EACCES") {
      throw new GatehouseError("usage.bad-argument", `${file} may not be read`, { cause: error });
    }
    throw error;
  }
}

async function collect(
  chunks: AsyncIterable<Uint8Array>,
  sizeBytesMax: number = LIMITS.secretValueBytes,
  excess: () => GatehouseError = valueTooLarge,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of chunks) {
    sizeBytes += chunk.length;
    if (sizeBytes > sizeBytesMax) throw excess();
    parts.push(chunk);
  }
  const all = concat(...parts);
  for (const part of parts) part.fill(0);
  return all;
}

function valueTooLarge(): GatehouseError<"vault.too-large"> {
  return new GatehouseError("vault.too-large", "a value has at most 1 MiB", {
    hint: "keep the large part elsewhere, encrypted, and its key here",
  });
}

function tooLong(sizeBytesMax: number): GatehouseError<"usage.bad-argument"> {
  return new GatehouseError("usage.bad-argument", `the file has more than ${sizeBytesMax} bytes`);
}

/** Standard input as bytes, until the command is told to stop; it is read once. */
export function readInput({ io, signal }: Context): AsyncIterable<Uint8Array> {
  return abortable(io.stdin, signal);
}

/** Ends the stream when the loop ends: an input left open would keep the program waiting for its writer. */
async function* abortable(stream: Readable, signal: AbortSignal): AsyncIterable<Uint8Array> {
  const chunks: AsyncIterator<Uint8Array> = stream[Symbol.asyncIterator]();
  const aborted = new Promise<never>((_, reject) => {
    const interrupt = () => reject(new Interrupted("interrupted"));
    if (signal.aborted) interrupt();
    else signal.addEventListener("abort", interrupt, { once: true });
  });
  aborted.catch(() => undefined);
  try {
    for (;;) {
      const next = await Promise.race([chunks.next(), aborted]);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    stream.destroy();
  }
}

async function ask(
  { io, output, signal }: Context,
  prompt: string,
  echo: "shown" | "hidden",
): Promise<string> {
  using _held = output.holdProgress();
  output.prompt(prompt);
  const isHidden = echo === "hidden";
  const screen = new Writable({
    write(chunk: Buffer, _encoding, done) {
      if (!isHidden) output.prompt(chunk.toString());
      done();
    },
  });
  const lines = createInterface({ input: io.stdin, output: screen, terminal: true, historySize: 0 });
  try {
    return await answer(lines, signal);
  } finally {
    lines.close();
    if (isHidden) output.prompt("\n");
  }
}

function answer(lines: Interface, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const interrupt = () => reject(new Interrupted("interrupted"));
    if (signal.aborted) interrupt();
    lines.once("line", resolve);
    lines.once("SIGINT", interrupt);
    lines.once("close", interrupt);
    signal.addEventListener("abort", interrupt, { once: true });
  });
}
