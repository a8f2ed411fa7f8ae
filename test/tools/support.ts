import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { isGatehouseError } from "../../src/core/index.ts";
import {
  type BoundCall,
  bindCall,
  parseTools,
  type RunOptions,
  type ToolDefinition,
  type ToolEndedEvent,
  type ToolEvent,
  ToolRunner,
  type ToolRunnerInput,
} from "../../src/tools/index.ts";
import type { ManualClock } from "../support/manual-clock.ts";

export const CONFIG_FILE = "gatehouse.toml";

/** The one tool of a table, as it stands under `[tools.t]`. */
export function toolOf(table: Readonly<Record<string, unknown>>): ToolDefinition {
  const tool = parseTools({ t: table }, { configFile: CONFIG_FILE }).get("t");
  if (tool === undefined) throw new Error("no tool");
  return tool;
}

/** `code: message (hint)` of what `run` throws. */
export function failureOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (isGatehouseError(error)) return `${error.code}: ${error.message} (${error.hint})`;
    throw error;
  }
  return "no error";
}

/** A folder that goes with the test; other users may look into it. */
export class Place implements AsyncDisposable {
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  static async make(): Promise<Place> {
    const root = await mkdtemp(join(tmpdir(), "gatehouse-tools-"));
    await chmod(root, 0o755);
    return new Place(root);
  }

  path(name: string): string {
    return join(this.root, name);
  }

  /** A shell script, or Python's when its first line says so. */
  async program(name: string, ...lines: readonly string[]): Promise<string> {
    const text = [...(lines[0]?.startsWith("#!") ? [] : ["#!/bin/sh"]), ...lines, ""].join("\n");
    await writeFile(this.path(name), text);
    await chmod(this.path(name), 0o755);
    return this.path(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }
}

export const PYTHON = "#!/usr/bin/python3 -S";

/** A call of a tool that runs `command` as ourselves, and whatever else the table says. */
export function callOf(command: readonly string[], table: Readonly<Record<string, unknown>> = {}): BoundCall {
  return bindCall(toolOf({ command, allow_same_user: true, ...table }), {});
}

export function newCallId(): string {
  return randomBytes(16).toString("hex");
}

export function runnerOf(input: Partial<ToolRunnerInput> = {}): ToolRunner {
  return new ToolRunner({ uid: process.getuid?.() ?? 0, protectedDirs: [], ...input });
}

export function optionsOf(options: Partial<RunOptions> = {}): RunOptions {
  const defaults = { secrets: {}, signal: new AbortController().signal, callId: newCallId() };
  return { ...defaults, deadlineMs: Number.POSITIVE_INFINITY, ...options };
}

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly ended: ToolEndedEvent;
  readonly events: readonly ToolEvent[];
}

/** All events of a run, read at once. */
export async function outcomeOf(run: AsyncIterable<ToolEvent>): Promise<Outcome> {
  const events: ToolEvent[] = [];
  for await (const event of run) events.push(event);
  const ended = events.at(-1);
  if (ended?.kind !== "ended") throw new Error("the run has no end");
  return { stdout: textOf(events, "stdout"), stderr: textOf(events, "stderr"), ended, events };
}

export function textOf(events: readonly ToolEvent[], stream: "stdout" | "stderr"): string {
  const bytes = events.flatMap((event) =>
    event.kind === "output" && event.stream === stream ? [event.bytes] : [],
  );
  return Buffer.concat(bytes).toString();
}

/** Reads on until the output holds `word`. */
export async function untilOutput(run: AsyncIterator<ToolEvent>, word: string): Promise<string> {
  let text = "";
  while (!text.includes(word)) {
    const { value, done } = await run.next();
    if (done === true || value.kind === "ended") throw new Error(`no ${word} in ${text}`);
    if (value.kind === "output") text += Buffer.from(value.bytes).toString();
  }
  return text;
}

/** Pids of living processes with that call's id in their environment. */
export function leftOf(callId: string): readonly number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
    return fileOf(`/proc/${name}/environ`).includes(`GATEHOUSE_CALL=${callId}`) ? [Number(name)] : [];
  });
}

/** True for what has not ended; a zombie has. */
export function isRunning(pid: number): boolean {
  const stat = fileOf(`/proc/${pid}/stat`);
  return existsSync(`/proc/${pid}`) && !/\) [ZX] /.test(stat);
}

function fileOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

/** Tries until `work` answers something. */
export async function eventually<Result>(work: () => Result | undefined): Promise<Result> {
  const until = performance.now() + 10_000;
  for (;;) {
    const result = work();
    if (result !== undefined) return result;
    if (performance.now() > until) throw new Error("it never came");
    await pause(5);
  }
}

/** Lets a clock run until `work` is done. */
export async function runClockUntil<Result>(clock: ManualClock, work: Promise<Result>): Promise<Result> {
  let isDone = false;
  const settled = work.finally(() => {
    isDone = true;
  });
  while (!isDone) {
    clock.advance(50);
    await pause(1);
  }
  return await settled;
}
