/** A command started in this one's place: its streams, signals and end are ours. */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { GatehouseError } from "../core/index.ts";
import type { Io } from "./io.ts";

export interface ChildCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Starts it without a shell on our own streams, and passes signals on until it ends. Answers its exit code, 128 and the
 * signal's number where a signal ended it.
 *
 * @throws GatehouseError `command.not-found`, `command.not-startable`.
 */
export async function runChild(child: ChildCommand, io: Pick<Io, "relaySignals" | "stdin">): Promise<number> {
  const started = start(child);
  using _relay = io.relaySignals((signal) => {
    // The terminal tells everybody in front of it; a second time would be a second wish.
    if (signal !== "SIGINT" || io.stdin.isTTY !== true) started.kill(signal);
  });
  return await endOf(started, child.command);
}

function start({ command, args, env }: ChildCommand): ChildProcess {
  try {
    return spawn(command, args, { env, stdio: "inherit", shell: false });
  } catch (error) {
    throw notStarted(command, error);
  }
}

function endOf(started: ChildProcess, command: string): Promise<number> {
  return new Promise((resolve, reject) => {
    started.on("error", (error) => {
      // A signal that could not be sent is no reason to leave the child alone.
      if (started.pid === undefined) reject(notStarted(command, error));
    });
    started.once("exit", (code, signal) =>
      resolve(signal === null ? (code ?? 0) : 128 + constants.signals[signal]),
    );
  });
}

function notStarted(command: string, cause: unknown): GatehouseError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "ENOENT") {
    return new GatehouseError("command.not-found", `no command ${command}`, {
      hint: "it is looked for in PATH; nothing here is read by a shell",
      cause,
    });
  }
  const reason = REASONS[String(code)] ?? "the system refused to";
  return new GatehouseError("command.not-startable", `${command} cannot be started: ${reason}`, { cause });
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "it may not be executed",
  ENOEXEC: "it is not a program",
  EPERM: "it may not be executed",
  E2BIG: "arguments and environment together are too large",
};
