/** What waits for a yes, as it comes and goes: what an app on a phone would show. */
import {
  applyPatch,
  isGatehouseError,
  isJsonObject,
  type JsonValue,
  LIMITS,
  parseJson,
} from "../../core/index.ts";
import type { Context } from "../context.ts";
import { type RemoteOption, type Session, withSession } from "../session.ts";
import { printable } from "../style.ts";

/** Runs until it is told to stop; each call of the stream lasts as long as a call may. */
export async function watch(
  context: Context,
  _args: readonly string[],
  options: RemoteOption,
): Promise<undefined> {
  await withSession(context, options, async (session) => {
    while (!context.signal.aborted) await watchOnce(context, session);
  });
}

async function watchOnce(context: Context, { client, methods, options }: Session): Promise<void> {
  const call = { signal: options.signal, timeoutMs: LIMITS.callTimeoutMaxMs };
  let shown: ReadonlyMap<string, string> = new Map();
  let document: JsonValue = null;
  try {
    for await (const { revision, document: whole, patch } of client.stream(
      methods.Approvals.Watch,
      {},
      call,
    )) {
      document = whole === "" ? applyPatch(document, parseJson(patch)) : parseJson(whole);
      if (context.output.isJson) context.output.result({ event: "document", revision, document }, () => "");
      else shown = tell(context, shown, linesOf(document));
    }
  } catch (failure) {
    if (!isGatehouseError(failure, "rpc.deadline")) throw failure;
  }
}

function tell(
  { output }: Context,
  before: ReadonlyMap<string, string>,
  now: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  for (const [id, line] of now)
    if (before.get(id) !== line)
      output.result({}, () => `${output.style.bold(printable(id.slice(0, 8)))}  ${line}`);
  for (const id of before.keys())
    if (!now.has(id)) output.result({}, () => output.style.dim(`${printable(id.slice(0, 8))}  over`));
  return now;
}

/** By id; nothing of the document is believed but what is text. */
function linesOf(document: JsonValue): ReadonlyMap<string, string> {
  const approvals = fieldOf(document, "approvals");
  if (!isJsonObject(approvals)) return new Map();
  return new Map(
    Object.entries(approvals).map(([id, approval]) => {
      const given = fieldOf(approval, "arguments");
      const words = Object.entries(isJsonObject(given) ? given : {}).map(
        ([name, value]) => `${name}=${JSON.stringify(value)}`,
      );
      const [tool, by, state] = ["tool", "requestedByName", "state"].map((name) => {
        const text = fieldOf(approval, name);
        return typeof text === "string" ? text : "";
      });
      return [id, printable(`${[tool, ...words].join(" ")}  asked by ${by}  ${state}`)];
    }),
  );
}

function fieldOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return isJsonObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}
