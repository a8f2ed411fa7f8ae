/** The real program, with a probe in it that tells what cannot be seen from outside. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Daemon, type Install, isObject, MAIN_PATH, text } from "./gatehouse-process.ts";

const PROBE_URL = new URL("door-probe.mjs", import.meta.url).href;
const ANSWER_MS = 15_000;

export interface Figures {
  /** What its doors dropped, and why, since the start. */
  readonly counters: Readonly<Record<string, number>>;
  /** Connections alive at its doors, unfinished handshakes included. */
  readonly connections: number;
  readonly rssMiB: number;
  readonly heapMiB: number;
  readonly externalMiB: number;
  /** Of the event loop, since the figures before. */
  readonly loopDelayMs: { readonly p99: number; readonly max: number };
  readonly cpuMs: number;
  /** What keeps the event loop alive, counted by kind. */
  readonly resources: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
}

export class ProbedDaemon implements AsyncDisposable {
  readonly daemon: Daemon;
  readonly #child: ChildProcess;
  #questions = 0;

  private constructor(child: ChildProcess, daemon: Daemon) {
    this.#child = child;
    this.daemon = daemon;
  }

  /** `gatehouse serve` of `install` on a free port of 127.0.0.1. @throws when it ends instead. */
  static async serve(install: Install, args: readonly string[] = []): Promise<ProbedDaemon> {
    const argv = ["--expose-gc", "--import", PROBE_URL, MAIN_PATH, "serve", "--json"];
    argv.push("--listen", "127.0.0.1:0", "--home", install.home, ...args);
    const child = spawn(process.execPath, argv, {
      env: install.env,
      stdio: ["pipe", "pipe", "pipe", "ipc"],
    });
    const daemon = new Daemon(child);
    try {
      daemon.address = text((await daemon.event("ready"))["quic"]);
      return new ProbedDaemon(child, daemon);
    } catch (failure) {
      await daemon[Symbol.asyncDispose]();
      throw failure;
    }
  }

  /** `collect`: after a garbage collection. @throws when the process does not answer. */
  async figures(collect: "collect" | "as-is" = "as-is"): Promise<Figures> {
    this.#questions += 1;
    const id = this.#questions;
    this.#child.send({ id, collect: collect === "collect" });
    const signal = AbortSignal.timeout(ANSWER_MS);
    for (;;) {
      const [answer]: unknown[] = await once(this.#child, "message", { signal });
      if (isObject(answer) && answer["id"] === id) return answer["figures"] as Figures;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon[Symbol.asyncDispose]();
  }
}
