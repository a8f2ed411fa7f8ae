/** The real command line in real processes, each install in directories of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

export type JsonObject = Readonly<Record<string, unknown>>;

const NO_QUIC_URL = new URL("no-quic.mjs", import.meta.url).href;
export const MAIN_PATH = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

const COMMAND_MS = 30_000;
const READY_MS = 30_000;

/** Where an install lives: `without QUIC` its library cannot be loaded. */
export type Platform = "this machine" | "without QUIC";

/** One install: a home and the HOME and XDG directories around it, all gone on disposal. */
export class Install implements AsyncDisposable {
  readonly root: string;
  /** What `--home` names. */
  readonly home: string;
  readonly #platform: Platform;

  private constructor(root: string, platform: Platform) {
    this.root = root;
    this.home = join(root, "home");
    this.#platform = platform;
  }

  static async create(platform: Platform = "this machine"): Promise<Install> {
    if (!existsSync(MAIN_PATH)) throw new Error(`${MAIN_PATH} is missing: run npm run build first`);
    return new Install(await mkdtemp(join(tmpdir(), "gatehouse-")), platform);
  }

  /** Nothing of the caller's own environment but the search path. */
  get env(): NodeJS.ProcessEnv {
    return {
      PATH: process.env["PATH"],
      HOME: this.root,
      TMPDIR: this.root,
      XDG_STATE_HOME: join(this.root, "state"),
      XDG_CONFIG_HOME: join(this.root, "config"),
      XDG_CACHE_HOME: join(this.root, "cache"),
      XDG_DATA_HOME: join(this.root, "data"),
      XDG_RUNTIME_DIR: join(this.root, "run"),
      ...(this.#platform === "without QUIC" ? { NODE_OPTIONS: `--import=${NO_QUIC_URL}` } : {}),
    };
  }

  /** Starts `gatehouse ARGS --home HOME`; the caller stops it. */
  spawn(args: readonly string[]): ChildProcess {
    return spawn(process.execPath, [MAIN_PATH, ...args, "--home", this.home], {
      env: this.env,
      stdio: ["pipe", "pipe", "pipe"],
    });
  }

  /** Runs one command to its end. */
  async run(args: readonly string[], input: string | Uint8Array = ""): Promise<CommandResult> {
    const child = this.spawn(args);
    const timer = setTimeout(() => child.kill("SIGKILL"), COMMAND_MS);
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    // A command that ends without reading its input closes the pipe; its exit code is what counts.
    child.stdin?.on("error", () => undefined).end(input);
    const [exitCode]: unknown[] = await once(child, "close");
    clearTimeout(timer);
    return new CommandResult(args, exitCode, await stdout, (await stderr).toString());
  }

  /** `run` with `--json`, which must end with 0; answers the document. */
  async json(args: readonly string[], input: string | Uint8Array = ""): Promise<JsonObject> {
    const result = await this.run([...args, "--json"], input);
    if (result.exitCode !== 0) throw new Error(`not done: ${result.describe()}`);
    return result.document;
  }

  /** `run` with `--json`; answers exit status and error code, however it ended. */
  async outcome(args: readonly string[], input: string | Uint8Array = ""): Promise<Outcome> {
    const result = await this.run([...args, "--json"], input);
    return { exit: result.exitCode, code: result.errorCode };
  }

  /** Starts the daemon, on a free port by default, and waits until it is ready. @throws when it ends instead. */
  async serve(args: readonly string[] = [], listen = "127.0.0.1:0"): Promise<Daemon> {
    const daemon = new Daemon(this.spawn(["serve", "--json", "--listen", listen, ...args]));
    try {
      const { quic, grpc } = await daemon.event("ready");
      if (typeof quic !== "string") throw new Error("the ready line has no address");
      daemon.address = quic === "" ? text(grpc) : quic;
      return daemon;
    } catch (failure) {
      await daemon[Symbol.asyncDispose]();
      throw failure;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }
}

export interface Outcome {
  readonly exit: unknown;
  readonly code: string | undefined;
}

export class CommandResult {
  readonly args: readonly string[];
  /** Null when a signal ended it. */
  readonly exitCode: unknown;
  readonly stdout: Buffer;
  readonly stderr: string;

  constructor(args: readonly string[], exitCode: unknown, stdout: Buffer, stderr: string) {
    this.args = args;
    this.exitCode = exitCode;
    this.stdout = stdout;
    this.stderr = stderr;
  }

  /** The one JSON document on standard output. @throws when there is anything else. */
  get document(): JsonObject {
    const output = this.stdout.toString();
    if (!/^\{[^\n]*\}\n$/.test(output)) throw new Error(`not one JSON line: ${this.describe()}`);
    return parseObject(output);
  }

  get errorCode(): string | undefined {
    const line = this.stdout.toString().trimEnd().split("\n").at(-1) ?? "";
    if (!line.startsWith("{")) return undefined;
    const { error } = parseObject(line);
    return isObject(error) && typeof error["code"] === "string" ? error["code"] : undefined;
  }

  describe(): string {
    return `gatehouse ${this.args.join(" ")} ended with ${String(this.exitCode)}\n${this.stdout.toString()}\n${this.stderr}`;
  }
}

/** A long-running command that speaks JSON lines; killed on disposal if it still runs. */
export class Daemon implements AsyncDisposable {
  /** HOST:PORT of its QUIC door, or gRPC's where there is none. */
  address = "";
  readonly #child: ChildProcess;
  /** The lines so far. */
  readonly events: JsonObject[] = [];
  readonly #news = new EventEmitter();
  readonly #ended: Promise<unknown>;
  #stderr = "";

  /** Takes the process. */
  constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = once(child, "close").then(([code]: unknown[]) => {
      this.#news.emit("news");
      return code;
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      this.#stderr += chunk.toString();
    });
    if (child.stdout === null) throw new TypeError("Daemon: standard output is not a pipe");
    createInterface({ input: child.stdout }).on("line", (line) => {
      this.events.push(parseObject(line));
      this.#news.emit("news");
    });
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error("the process did not start");
    return this.#child.pid;
  }

  get port(): number {
    return Number(this.address.slice(this.address.lastIndexOf(":") + 1));
  }

  get stderr(): string {
    return this.#stderr;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The line with this `event`, the `nth`, already come or still to come. @throws when the process ends first. */
  async event(name: string, nth = 1): Promise<JsonObject> {
    const signal = AbortSignal.timeout(READY_MS);
    for (;;) {
      const found = this.events.filter(({ event }) => event === name)[nth - 1];
      if (found !== undefined) return found;
      if (!this.isRunning) throw new Error(`ended before its ${name} event:\n${this.#stderr}`);
      await once(this.#news, "news", { signal });
    }
  }

  /** Sends `signal` and answers the exit code: null when the signal itself ended it. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<unknown> {
    this.#child.kill(signal);
    return this.#ended;
  }

  /** The exit code, when it ends by itself. */
  async ended(): Promise<unknown> {
    return this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isRunning) await this.stop("SIGKILL");
    else await this.#ended;
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @throws when `value` is not text. */
export function text(value: unknown): string {
  if (typeof value !== "string") throw new TypeError(`expected text, got ${JSON.stringify(value)}`);
  return value;
}

/** @throws when it is anything else. */
export function parseObject(line: string): JsonObject {
  const value: unknown = JSON.parse(line);
  if (!isObject(value)) throw new Error(`not a JSON object: ${line}`);
  return value;
}

async function collect(stream: Readable | null): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream?.on("data", (chunk: Buffer) => chunks.push(chunk));
  if (stream !== null) await once(stream, "close");
  return Buffer.concat(chunks);
}
