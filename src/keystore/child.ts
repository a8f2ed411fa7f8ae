import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { kill } from "node:process";
import { type Clock, systemClock } from "../core/index.ts";

export interface ChildInput {
  /** Program, looked up in the environment's PATH, and arguments. No shell reads them. */
  readonly command: readonly string[];
  /** All that the child's environment holds. */
  readonly environment: Readonly<Record<string, string>>;
  /** Borrowed until the answer is there. */
  readonly stdin?: Uint8Array;
  readonly stdoutBytesMax: number;
  readonly timeoutMs: number;
  readonly clock?: Clock;
}

export type ChildOutcome =
  | {
      readonly kind: "ended";
      readonly exitCode: number;
      /** The caller's to wipe. */
      readonly stdout: Uint8Array;
      /** What it said is nobody's business: it may be about secrets. */
      readonly isStderrEmpty: boolean;
    }
  | { readonly kind: "not-started" | "killed" | "timed-out" | "too-much" };

/**
 * Runs a program in `/` to its end and that of its output, in a session of its own: it has no terminal, and what it
 * started dies with it when it takes too long or says too much.
 */
export function runChild(input: ChildInput): Promise<ChildOutcome> {
  const { stdoutBytesMax, timeoutMs, clock = systemClock } = input;
  const child = start(input);
  const stdout = new Uint8Array(stdoutBytesMax);
  let [length, isStderrEmpty, isOver] = [0, true, false];
  return new Promise((resolve) => {
    const end = (outcome: ChildOutcome): void => {
      if (isOver) return;
      isOver = true;
      timer[Symbol.dispose]();
      if (outcome.kind !== "ended") stdout.fill(0);
      if (outcome.kind !== "ended") stop(child);
      resolve(outcome);
    };
    const timer = clock.setTimer(timeoutMs, () => end({ kind: "timed-out" }));
    child.stdout.on("data", (chunk: Buffer) => {
      const hasRoom = length + chunk.length <= stdoutBytesMax;
      if (hasRoom && !isOver) stdout.set(chunk, length);
      length += chunk.length;
      chunk.fill(0);
      if (!hasRoom) end({ kind: "too-much" });
    });
    child.stderr.on("data", (chunk: Buffer) => {
      isStderrEmpty = false;
      chunk.fill(0);
    });
    child.once("close", (exitCode) => {
      if (exitCode === null) end({ kind: "killed" });
      else end({ kind: "ended", exitCode, stdout: stdout.subarray(0, length), isStderrEmpty });
    });
    child.on("error", () => end({ kind: "not-started" }));
  });
}

function start({ command, environment, stdin }: ChildInput): ChildProcessWithoutNullStreams {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { cwd: "/", env: environment, detached: true, stdio: "pipe" });
  // Whoever reads no input closes it.
  child.stdin.on("error", () => undefined);
  child.stdin.end(stdin);
  return child;
}

function stop(child: ChildProcessWithoutNullStreams): void {
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
  child.unref();
  if (child.pid === undefined) return;
  try {
    kill(-child.pid, "SIGKILL");
  } catch {
    // Nobody of its group is left.
  }
}
