import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { LOOPBACK, type Place } from "../contender.ts";

const GRACE_MS = 2_000;

/** A TypeScript module in a process of its own that answers one request at a time over Node's IPC channel. */
export class WorkerProcess implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static start(module: URL, { namespace }: Place = LOOPBACK): WorkerProcess {
    const stdio = ["ignore", "ignore", "inherit", "ipc"] as const;
    const inside =
      namespace === undefined
        ? {}
        : { execPath: "ip", execArgv: ["netns", "exec", namespace, process.execPath, ...process.execArgv] };
    const child = fork(fileURLToPath(module), [], { stdio: [...stdio], ...inside });
    return new WorkerProcess(child);
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error("the worker did not start");
    return this.#child.pid;
  }

  /** @throws what the worker threw, by message, or that it ended without an answer. */
  async ask(request: object): Promise<unknown> {
    const answered = new AbortController();
    const { signal } = answered;
    const gone = once(this.#child, "exit", { signal }).then(() => {
      throw new Error(`worker ${this.#child.pid} ended without an answer`);
    });
    const answer = once(this.#child, "message", { signal });
    this.#child.send(request);
    try {
      const [message]: unknown[] = await Promise.race([answer, gone]);
      if (isFailure(message)) throw new Error(message.failure);
      return message;
    } finally {
      answered.abort();
      // Aborting rejects whichever of the two lost.
      await Promise.allSettled([answer, gone]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await stopChild(this.#child);
  }
}

/** SIGTERM, and SIGKILL for one that does not listen; resolves when the process is gone. */
export async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const gone = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
  await gone;
  clearTimeout(timer);
}

/** The worker's side: answers each request with what `handle` returns; `end`s when the parent is gone. */
export function answerRequests(
  handle: (request: unknown) => Promise<object>,
  end: () => void = () => process.exit(0),
): void {
  process.on("message", (request) => {
    void handle(request).then(
      (reply) => process.send?.(reply),
      (failure: unknown) => process.send?.({ failure: String(failure) }),
    );
  });
  process.on("disconnect", end);
}

function isFailure(message: unknown): message is { readonly failure: string } {
  return typeof message === "object" && message !== null && "failure" in message;
}
