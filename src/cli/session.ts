import type { Command } from "commander";
import type { Client, METHODS, Wire } from "../client/index.ts";
import type { Context } from "./context.ts";

/** A connection to a gatehouse and what may be asked of it. */
export interface Session {
  readonly client: Client;
  readonly methods: typeof METHODS;
  /** For every call: the command's signal and the deadline that the person set. */
  readonly options: { readonly signal: AbortSignal; readonly timeoutMs: number };
}

export interface RemoteOption {
  readonly on?: string;
}

/** Adds `--on NAME` to a command that talks to a gatehouse. */
export function withRemoteOption(command: Command): Command {
  return command.option("--on <name>", "the gatehouse to ask: a name from `remote ls`");
}

/** Connects, lends the session to `work`, and closes it. The client is loaded only when it is needed. */
export async function withSession<Result>(
  { config, signal, idleMs, wire }: Context & { readonly idleMs?: number; readonly wire?: Wire | undefined },
  { on }: RemoteOption,
  work: (session: Session) => Promise<Result>,
): Promise<Result> {
  const { connect, METHODS: methods } = await loadClient();
  const { home, timeoutMs } = config;
  await using client = await connect({
    home,
    ...(on === undefined ? {} : { on }),
    signal,
    timeoutMs,
    idleMs,
    wire,
  });
  return await work({ client, methods, options: { signal, timeoutMs } });
}

/** Apart from its caller: TypeScript 6.0 leaves `.ts` in a dynamic import beside an `await using`. */
function loadClient() {
  return import("../client/index.ts");
}
