import { EXIT } from "../core/index.ts";
import { readConfigFile } from "./config-reader.ts";
import { configSources, createContext, createOutput, type GlobalOptions } from "./context.ts";
import { exitCodeFor, Interrupted } from "./failure.ts";
import type { Io } from "./io.ts";
import type { Output } from "./output.ts";
import { createProgram } from "./program.ts";

/** Parses the command line and does what it says. Resolves to the exit code and never rejects. */
export async function run(io: Io): Promise<number> {
  // Until the words are understood, how to complain about them has to be guessed from them.
  let output = createOutput(io, guessOptions(io.argv));
  let exitCode: number = EXIT.done;
  const program = createProgram(io, async (options, work) => {
    output = createOutput(io, options);
    const file = await readConfigFile(configSources(io, options));
    exitCode = (await work(createContext(io, options, output, file))) ?? EXIT.done;
  });
  try {
    await program.parseAsync(io.argv, { from: "user" });
    return exitCode;
  } catch (error) {
    return fail(io, output, error);
  }
}

function fail(io: Io, output: Output, error: unknown): number {
  if (isHelp(error) || io.readerGone.aborted) return EXIT.done;
  // 128 + the signal's number, as shells do it.
  if (io.stop.aborted) return io.stop.reason === "SIGTERM" ? 143 : 130;
  if (error instanceof Interrupted) return 130;
  output.failure(error);
  if (io.env["GATEHOUSE_DEBUG"] === "1" && error instanceof Error) output.note(String(error.stack));
  return exitCodeFor(error);
}

/** Commander reports its own `--help` as an error with exit code 0. */
function isHelp(error: unknown): boolean {
  return error instanceof Error && "exitCode" in error && error.exitCode === 0;
}

function guessOptions(argv: readonly string[]): GlobalOptions {
  const end = argv.indexOf("--");
  const words = end < 0 ? argv : argv.slice(0, end);
  return { json: words.includes("--json"), color: !words.includes("--no-color") };
}
