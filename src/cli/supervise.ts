import { spawn } from "node:child_process";
import { type Clock, EXIT, LIMITS, type Logger } from "../core/index.ts";
import type { Io } from "./io.ts";

/** `again` once a life was ready: what was asked for once, such as a pairing window, is not repeated. */
export type Life = "first" | "again";

/** A started program, as far as its supervisor is concerned. */
export interface SupervisedProgram {
  /** It has told that it is ready. */
  readonly isReady: boolean;
  readonly ended: Promise<Ending>;
  /** Asks it to end in order. */
  stop(): void;
  /** Ends it. */
  kill(): void;
}

export type Ending =
  | { readonly kind: "exited"; readonly exitCode: number }
  | { readonly kind: "killed"; readonly signal: string };

export interface SuperviseOptions {
  readonly start: (life: Life) => SupervisedProgram;
  readonly stop: AbortSignal;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Starts a program again whenever a signal ended it, or something unexpected after it had been ready once; sooner or
 * later by a back-off that a minute of health resets. Whatever else ends it would only end it again. Answers the exit
 * code of the last life.
 */
export async function supervise({ start, stop, clock, logger }: SuperviseOptions): Promise<number> {
  let delayMs: number = LIMITS.restartDelayMs;
  let wasReady = false;
  for (;;) {
    const bornMs = clock.monotonicMs();
    const program = start(wasReady ? "again" : "first");
    const ending = await endOf(program, stop, clock);
    wasReady ||= program.isReady;
    if (stop.aborted || !isUnexpected(ending, wasReady)) return exitCodeOf(ending);
    if (clock.monotonicMs() - bornMs >= LIMITS.restartHealthyMs) delayMs = LIMITS.restartDelayMs;
    logger.warn("daemon-ended", { ...ending, restartInMs: delayMs });
    await pause(delayMs, stop, clock);
    if (stop.aborted) return EXIT.done;
    delayMs = Math.min(2 * delayMs, LIMITS.restartDelayMaxMs);
  }
}

/**
 * Runs this very program as a child with `--supervised`, on the same streams. The channel to it says when it is ready,
 * and its closing, however this process ends, tells it to stop.
 */
export function startSelf({ self, argv, env }: Io, life: Life): SupervisedProgram {
  const [command = "", ...before] = self;
  // The service manager named this process; the child is the one that has something to tell it.
  const { WATCHDOG_PID: _pid, ...childEnv } = env;
  const child = spawn(command, [...before, ...argv, "--supervised", life], {
    env: childEnv,
    stdio: ["inherit", "inherit", "inherit", "ipc"],
  });
  let isReady = false;
  child.on("message", (message) => {
    isReady ||= message === "ready";
  });
  const ended = new Promise<Ending>((resolve) => {
    child.once("error", () => resolve({ kind: "exited", exitCode: EXIT.unexpected }));
    child.once("exit", (code, signal) =>
      resolve(
        signal === null ? { kind: "exited", exitCode: code ?? EXIT.unexpected } : { kind: "killed", signal },
      ),
    );
  });
  return {
    get isReady() {
      return isReady;
    },
    ended,
    stop: () => {
      if (child.connected) child.disconnect();
    },
    kill: () => void child.kill("SIGKILL"),
  };
}

async function endOf(program: SupervisedProgram, stop: AbortSignal, clock: Clock): Promise<Ending> {
  let deadline: Disposable | undefined;
  const ask = (): void => {
    program.stop();
    deadline = clock.setTimer(LIMITS.superviseStopMs, () => program.kill());
  };
  if (stop.aborted) ask();
  else stop.addEventListener("abort", ask, { once: true });
  try {
    return await program.ended;
  } finally {
    stop.removeEventListener("abort", ask);
    deadline?.[Symbol.dispose]();
  }
}

function isUnexpected(ending: Ending, wasReady: boolean): boolean {
  return ending.kind === "killed" || (wasReady && ending.exitCode === EXIT.unexpected);
}

function exitCodeOf(ending: Ending): number {
  return ending.kind === "exited" ? ending.exitCode : EXIT.unexpected;
}

/** Until `delayMs` are over or `stop` aborts. */
function pause(delayMs: number, stop: AbortSignal, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      timer[Symbol.dispose]();
      stop.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.setTimer(delayMs, done);
    if (stop.aborted) done();
    else stop.addEventListener("abort", done, { once: true });
  });
}
