/** One run of a tool: its output is ours, and so is its end. */
import { constants } from "node:os";
import { parseDuration } from "../../config/index.ts";
import { EXIT, GatehouseError, LIMITS } from "../../core/index.ts";
import { parsePairs } from "../arguments.ts";
import type { Context } from "../context.ts";
import { type RemoteOption, type Session, withSession } from "../session.ts";
import { printable } from "../style.ts";
import { asApproval, callWords } from "../tool-document.ts";
import { relativeDate } from "../words.ts";

interface RunOptions extends RemoteOption {
  readonly arg?: readonly string[];
  readonly reason?: string;
  /** False for `--no-wait`. */
  readonly wait: string | false;
  readonly approval?: string;
}

interface Ending {
  readonly reason: string;
  readonly exitCode: number;
  readonly signal: string;
  readonly durationMs: number;
  /** Some of the output was not read: somebody held it open after the end. */
  readonly isTruncated: boolean;
}

export async function runTool(
  context: Context,
  [name = ""]: readonly string[],
  options: RunOptions,
): Promise<number> {
  const { arg = [], reason = "", wait, approval = "", ...remote } = options;
  const waitMs = wait === false ? 0 : parseDuration(wait);
  const request = { name, arguments: { ...parsePairs(arg, "--arg") }, reason, approval, waitMs };
  const ending = await withSession(context, remote, (session) => follow(context, session, request));
  return exitCodeOf(context, ending);
}

type RunRequest = Parameters<Session["methods"]["Tools"]["Run"]["request"]["encode"]>[0];

async function follow(
  context: Context,
  { client, methods, options }: Session,
  request: RunRequest,
): Promise<Ending> {
  const { output } = context;
  const call = { signal: options.signal, timeoutMs: LIMITS.callTimeoutMaxMs };
  for await (const { waiting, started, output: piece, ended } of client.stream(
    methods.Tools.Run,
    request,
    call,
  )) {
    if (waiting) tellWaiting(context, asApproval(waiting));
    if (started && output.isJson) output.result({ event: "started", callId: started.callId ?? "" }, () => "");
    if (piece) pass(context, piece.isStderr === true, piece.bytes ?? new Uint8Array());
    if (ended) {
      const { reason, exitCode, signal, durationMs, isTruncated } = ended;
      return {
        reason: reason ?? "",
        exitCode: exitCode ?? 0,
        signal: signal ?? "",
        durationMs: durationMs ?? 0,
        isTruncated: isTruncated ?? false,
      };
    }
  }
  throw new GatehouseError("rpc.outcome-unknown", "the call ended before the tool's end was told", {
    hint: "look at what the tool does before running it again",
  });
}

function tellWaiting({ output }: Context, approval: ReturnType<typeof asApproval>): void {
  if (output.isJson) {
    output.result({ event: "waiting", approval }, () => "");
    return;
  }
  output.note(`waiting for somebody's yes to: ${callWords(approval)}`);
  output.note(
    output.noteStyle.dim(
      `a device that may gives it with: gatehouse approval approve ${printable(approval.id.slice(0, 8))}; too late ${relativeDate(approval.expiresAt, Date.now())}`,
    ),
  );
}

function pass({ io, output }: Context, isStderr: boolean, bytes: Uint8Array): void {
  if (output.isJson) {
    const stream = isStderr ? "stderr" : "stdout";
    output.result({ event: "output", stream, data: Buffer.from(bytes).toString("base64") }, () => "");
  } else if (isStderr) {
    io.stderr.write(bytes);
  } else {
    output.bytes(bytes);
  }
}

function exitCodeOf({ output }: Context, ending: Ending): number {
  const { reason, exitCode, signal, isTruncated } = ending;
  if (output.isJson) output.result({ event: "ended", ...ending }, () => "");
  if (reason === "timeout") output.note("the tool was ended: its time was up");
  if (reason === "output-limit") output.note("the tool was ended: it printed too much");
  if (reason === "exited" && isTruncated) output.note("the end of its output is missing");
  if (reason === "timeout") return EXIT.unreachable;
  if (reason === "output-limit") return EXIT.unexpected;
  const number = signal === "" ? undefined : numberOf(signal);
  return number === undefined ? exitCode : 128 + number;
}

function numberOf(signal: string): number {
  return (constants.signals as Readonly<Record<string, number>>)[signal] ?? 0;
}
