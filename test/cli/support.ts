import { PassThrough } from "node:stream";
import type { Io, Sink } from "../../src/cli/io.ts";
import { run } from "../../src/cli/run.ts";

/** What was printed so far. */
export type Recorded = () => { readonly stdout: string; readonly stderr: string };

/** What one run of the command line in this process printed and answered. */
export interface Ran extends ReturnType<Recorded> {
  readonly exitCode: number;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** All of the input, or a stream that goes on. */
  readonly stdin?: string | Uint8Array | PassThrough;
  readonly isTTY?: boolean;
  readonly stop?: AbortSignal;
  readonly pid?: number;
  readonly self?: readonly string[];
}

/** Runs a command line in this process, on streams and an environment of its own. */
export async function runHere(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const { io, recorded } = createIo(argv, options);
  const exitCode = await run(io);
  return { exitCode, ...recorded() };
}

/** The surroundings of a command line, and what it writes into them. */
export function createIo(argv: readonly string[], options: RunOptions): { io: Io; recorded: Recorded } {
  const [stdout, stderr] = [collector(options.isTTY), collector(options.isTTY)];
  const { stdin: input = "" } = options;
  const isStream = input instanceof PassThrough;
  const stdin = Object.assign(isStream ? input : new PassThrough(), { isTTY: options.isTTY === true });
  // A copy, as from a real pipe: whoever reads it may wipe it.
  if (!isStream) stdin.end(Buffer.from(input));
  const io: Io = {
    argv,
    env: options.env ?? {},
    userHome: "/nowhere",
    hostName: "nowhere",
    invocation: "gatehouse",
    platform: "test",
    pid: options.pid ?? 4_242,
    self: options.self ?? ["gatehouse"],
    parent: undefined,
    stdin,
    stdout,
    stderr,
    stop: options.stop ?? new AbortController().signal,
    relaySignals: () => ({ [Symbol.dispose]: () => undefined }),
    readerGone: new AbortController().signal,
  };
  return { io, recorded: () => ({ stdout: stdout.text(), stderr: stderr.text() }) };
}

function collector(isTTY = false): Sink & { text(): string } {
  const chunks: Buffer[] = [];
  return {
    write: (chunk) => chunks.push(Buffer.from(chunk)) > 0,
    isTTY,
    text: () => Buffer.concat(chunks).toString("utf8"),
  };
}
