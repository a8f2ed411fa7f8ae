/** A TypeScript program of the tests in a process of its own, spoken to over IPC. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { isObject, type JsonObject } from "./gatehouse-process.ts";

const NEWS_MS = 60_000;

export class TsxChild implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #news: JsonObject[] = [];

  constructor(path: string) {
    this.#child = fork(path, [], { execArgv: ["--expose-gc", "--import", "tsx"] });
    this.#child.on("message", (message: unknown) => {
      if (isObject(message)) this.#news.push(message);
    });
  }

  send(message: JsonObject): void {
    this.#child.send(message);
  }

  /** The next message whose `event` it is. @throws when the process ends first. */
  async event(name: string, timeoutMs = NEWS_MS): Promise<JsonObject> {
    const signal = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const found = this.#news.find(({ event }) => event === name);
      if (found !== undefined) return found;
      if (!this.#isRunning) throw new Error(`a test's process ended before it said ${name}`);
      await Promise.race([once(this.#child, "message", { signal }), once(this.#child, "exit", { signal })]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isRunning) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  get #isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }
}
