import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { type Clock, LIMITS } from "../core/index.ts";
import type { Account } from "./accounts.ts";
import { maskInherited } from "./inherited-descriptors.ts";
import { ProcessTree } from "./process-tree.ts";
import { notStartable } from "./runnable.ts";

export interface ToolStart {
  readonly toolName: string;
  readonly callId: string;
  /** Program and arguments, its sandbox and limits before it. */
  readonly argv: readonly string[];
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Our own user when undefined. */
  readonly account: Account | undefined;
  /** Its sandbox dies with the process that we started: what is in it is signalled instead. */
  readonly isSandboxed: boolean;
  readonly clock: Clock;
}

interface StartedTool extends Pick<ToolStart, "callId" | "isSandboxed" | "clock"> {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly stdout: Readable;
  readonly stderr: Readable;
}

export interface ToolExit {
  /** This or `signal`. */
  readonly exitCode: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
  /** By `clock.monotonicMs()`. */
  readonly atMs: number;
}

/** Bubblewrap's first process inside, which minds no SIGTERM: with no more than that the tool has not begun. */
const SANDBOX_PROCESSES = 1;

/**
 * A tool at work: a session and process group of its own, no input, no terminal, and nothing of our environment. Whatever
 * is left of it when its first process ends is killed.
 */
export class ToolProcess {
  readonly pid: number;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** When nothing is left of it; answers how many processes could not be killed. */
  readonly gone: Promise<number>;
  readonly #isSandboxed: boolean;
  readonly #clock: Clock;
  readonly #child: ChildProcess;
  readonly #tree: ProcessTree;
  readonly #exited: Promise<void>;
  #exit: ToolExit | undefined;
  #isGone = false;
  #stopping: Promise<void> | undefined;

  /** @throws GatehouseError `tool.not-startable`. */
  static async start(start: ToolStart): Promise<ToolProcess> {
    const child = spawnTool(start);
    const { pid, stdout, stderr } = child;
    if (pid !== undefined && stdout !== null && stderr !== null) {
      const { callId, isSandboxed, clock } = start;
      return new ToolProcess({ child, pid, stdout, stderr, callId, isSandboxed, clock });
    }
    const cause = await new Promise((resolve) => child.once("error", resolve));
    throw refused(start.toolName, cause);
  }

  private constructor(input: StartedTool) {
    this.pid = input.pid;
    this.stdout = input.stdout;
    this.stderr = input.stderr;
    this.#isSandboxed = input.isSandboxed;
    this.#clock = input.clock;
    this.#child = input.child;
    this.#tree = new ProcessTree(input.pid, input.callId);
    // A signal that could not be sent: others follow.
    input.child.on("error", () => undefined);
    this.#exited = new Promise((resolve) =>
      input.child.once("exit", (exitCode, signal) => {
        const atMs = this.#clock.monotonicMs();
        this.#exit = { exitCode: exitCode ?? undefined, signal: signal ?? undefined, atMs };
        resolve();
      }),
    );
    this.gone = this.#untilGone();
  }

  /** Of the first process, once it has ended. */
  get exit(): ToolExit | undefined {
    return this.#exit;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** SIGTERM, after two seconds SIGKILL; once. What it started and what those started is found before they part. */
  stop(): void {
    this.#stopping ??= this.#terminate();
  }

  async #terminate(): Promise<void> {
    await this.#tree.find();
    if (this.#exit !== undefined) return;
    using _grace = this.#clock.setTimer(LIMITS.toolKillGraceMs, () => this.#kill());
    if (!this.#isSandboxed) this.#tree.signalGroup("SIGTERM");
    else if ((await this.#tree.signalOthers("SIGTERM")) <= SANDBOX_PROCESSES) this.#kill();
    await this.#exited;
  }

  /** The first process's end lets `gone` look for the others. */
  #kill(): void {
    this.#tree.signalGroup("SIGKILL");
    this.#child.kill("SIGKILL");
  }

  async #untilGone(): Promise<number> {
    await this.#exited;
    await this.#stopping;
    const left = await this.#tree.kill();
    this.#isGone = true;
    return left;
  }
}

function spawnTool({
  argv,
  directory,
  environment,
  account,
  isSandboxed,
  toolName,
}: ToolStart): ChildProcess {
  const [program = "", ...args] = argv;
  try {
    // With uid and gid, libuv drops all supplementary groups too.
    return spawn(program, args, {
      ...{ cwd: isSandboxed ? "/" : directory, env: environment, detached: true, shell: false },
      ...(account === undefined ? {} : { uid: account.uid, gid: account.gid }),
      stdio: ["ignore", "pipe", "pipe", ...maskInherited()],
    });
  } catch (error) {
    throw refused(toolName, error);
  }
}

function refused(toolName: string, cause: unknown): Error {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const why = REASONS[code] ?? "the system refused to";
  const hint = `whoever keeps the gatehouse checks tools.${toolName}: command, directory and user`;
  return notStartable(toolName, why, hint, cause);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "its program, its interpreter or its directory does not exist",
  EACCES: "its user may not execute it",
  EPERM: "its user may not execute it",
  ENOEXEC: "it is not a program",
  E2BIG: "arguments and environment together are too large",
  EAGAIN: "there are too many processes",
};
