#!/usr/bin/env node
/** The program: the one file that touches the process it runs in. */
import { homedir, hostname } from "node:os";
import { basename, relative } from "node:path";
import type { Parent, RelayedSignal, Sink } from "./io.ts";
import { run } from "./run.ts";

const stop = new AbortController();
const readerGone = new AbortController();
let relay: ((signal: RelayedSignal) => void) | undefined;

for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => {
    if (relay !== undefined) {
      relay(name);
      return;
    }
    // Asked twice: whoever asks does not want to wait for a clean end.
    if (stop.signal.aborted) process.exit(name === "SIGTERM" ? 143 : 130);
    stop.abort(name);
  });
}
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  readerGone.abort("standard output is closed");
});
process.stderr.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

const stdout: Sink = {
  write: (chunk) => readerGone.signal.aborted || process.stdout.write(chunk),
  isTTY: process.stdout.isTTY === true,
};

// Deadlines do not keep the process alive; an unfinished command does.
const unfinished = setInterval(() => undefined, 86_400_000);

process.exitCode = await run({
  argv: process.argv.slice(2),
  env: process.env,
  userHome: homedir(),
  hostName: hostname(),
  invocation: invocation(process.argv[1] ?? ""),
  platform: `${process.platform}-${process.arch}`,
  pid: process.pid,
  self: [process.execPath, ...process.execArgv, process.argv[1] ?? ""],
  parent: parent(),
  stdin: process.stdin,
  stdout,
  stderr: process.stderr,
  stop: stop.signal,
  relaySignals,
  readerGone: readerGone.signal,
});
clearInterval(unfinished);

/** A hang-up ends this process as ever while nobody else is to hear of it. */
function relaySignals(receive: (signal: RelayedSignal) => void): Disposable {
  const hangUp = (): void => receive("SIGHUP");
  relay = receive;
  process.on("SIGHUP", hangUp);
  return {
    [Symbol.dispose]: () => {
      relay = undefined;
      process.off("SIGHUP", hangUp);
    },
  };
}

function parent(): Parent | undefined {
  const { channel, ppid: pid } = process;
  if (channel === undefined) return undefined;
  const gone = new AbortController();
  process.once("disconnect", () => gone.abort());
  channel.unref();
  return { pid, gone: gone.signal, tell: (word) => void process.send?.(word, () => undefined) };
}

/** An installed `gatehouse` is typed as such; anything else is named by its path from here. */
function invocation(script: string): string {
  return basename(script) === "gatehouse" ? "gatehouse" : `node ${relative(process.cwd(), script)}`;
}
