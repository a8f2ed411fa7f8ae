/** The passphrase that opens a home's keys: typed without echo, or the first line of a file. Never an argument. */
import { open } from "node:fs/promises";
import { concat, equalBytes, GatehouseError, SecretBytes, utf8 } from "../core/index.ts";
import type { AskPassphrase } from "../keystore/index.ts";
import type { Context } from "./context.ts";
import { askHidden, canAsk, readInput } from "./input.ts";

const BYTES_MAX = 1_024;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Asks once and remembers until it is disposed: one passphrase opens everything of a home.
 *
 * `ask` throws GatehouseError `usage.bad-argument` where nobody can be asked, or two typings differ; `file.not-found`
 * and `home.bad-permissions` of the file.
 */
export class Passphrase implements Disposable {
  readonly #context: Context;
  readonly #file: string | undefined;
  readonly #what: "passphrase" | "recovery key";
  #known: Promise<SecretBytes> | undefined;

  /** @param file what `--kek-passphrase-file` says; `-` is standard input. */
  constructor(
    context: Context,
    file: string | undefined,
    what: "passphrase" | "recovery key" = "passphrase",
  ) {
    this.#context = context;
    this.#file = file;
    this.#what = what;
  }

  /** The answers are copies, for whoever asked to wipe. */
  readonly ask: AskPassphrase = async ({ purpose }) => {
    this.#known ??= this.#find(purpose).then((bytes) => new SecretBytes(bytes));
    return (await this.#known).use((bytes) => new Uint8Array(bytes));
  };

  [Symbol.dispose](): void {
    this.#known?.then(
      (known) => known[Symbol.dispose](),
      () => undefined,
    );
  }

  #find(purpose: "create" | "open"): Promise<Uint8Array> {
    if (this.#file !== undefined) return readFirstLine(this.#context, this.#file);
    if (!canAsk(this.#context)) {
      throw new GatehouseError(
        "usage.bad-argument",
        `a ${this.#what} is needed, and nobody is here to be asked`,
        {
          hint: "give --kek-passphrase-file FILE, or - to read it from standard input",
        },
      );
    }
    return purpose === "create"
      ? askTwice(this.#context)
      : askOnce(this.#context, `${this.#what} (not shown): `);
  }
}

async function askOnce(context: Context, prompt: string): Promise<Uint8Array> {
  return utf8(await askHidden(context, prompt));
}

async function askTwice(context: Context): Promise<Uint8Array> {
  const first = await askOnce(context, "new passphrase (not shown): ");
  const second = await askOnce(context, "the same again: ");
  const isSame = equalBytes(first, second);
  second.fill(0);
  if (isSame) return first;
  first.fill(0);
  throw new GatehouseError("usage.bad-argument", "the two passphrases differ", { hint: "type them again" });
}

async function readFirstLine(context: Context, file: string): Promise<Uint8Array> {
  if (file === "-") return firstLine(readInput(context));
  await using handle = await openPrivate(file);
  return await firstLine(handle.createReadStream({ autoClose: false }));
}

/** What others can read is no secret; a pipe is nobody else's. */
async function openPrivate(file: string) {
  const handle = await openFile(file);
  const { mode } = await handle.stat();
  const isOpenToOthers = (mode & 0o077) !== 0 && (await handle.stat()).isFile();
  if (!isOpenToOthers) return handle;
  await handle.close();
  throw new GatehouseError("home.bad-permissions", `${file} is open to other users`, {
    hint: `chmod 600 ${file}`,
  });
}

async function openFile(file: string) {
  try {
    return await open(file);
  } catch (cause) {
    const isMissing = cause instanceof Error && "code" in cause && cause.code === "ENOENT";
    if (isMissing) throw new GatehouseError("file.not-found", `no file ${file}`, { cause });
    throw new GatehouseError("usage.bad-argument", `${file} may not be read`, { cause });
  }
}

/** Wipes what it read but the answer. */
async function firstLine(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of chunks) {
    parts.push(chunk);
    sizeBytes += chunk.length;
    if (chunk.includes(LINE_FEED) || sizeBytes > BYTES_MAX + 2) break;
  }
  const all = concat(...parts);
  for (const part of parts) part.fill(0);
  const line = new Uint8Array(withoutLineEnd(all));
  all.fill(0);
  if (line.length > 0) return line;
  throw new GatehouseError("usage.bad-argument", "the passphrase is empty", {
    hint: "it is the first line of the file that --kek-passphrase-file names",
  });
}

function withoutLineEnd(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(LINE_FEED);
  if (end < 0) return bytes;
  return bytes.subarray(0, bytes[end - 1] === CARRIAGE_RETURN ? end - 1 : end);
}
