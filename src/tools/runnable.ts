import { GatehouseError } from "../core/index.ts";
import { type Account, findAccount } from "./accounts.ts";
import type { ToolDefinition } from "./definition.ts";

/** What a tool's safety depends on, of the daemon and its machine. */
export interface ToolHost {
  /** The daemon's own. */
  readonly uid: number;
  readonly hasBubblewrap: boolean;
}

const ROOT = 0;

/**
 * Whether the tool may run here: as another user than the daemon, or in a sandbox, or because the operator accepts that
 * it can do what the daemon can. Answers whom it runs as; `undefined` for the daemon's own user.
 *
 * A sandbox of root's own must be shut: files it may write could be left as set-user-ID programs of root's, and sockets
 * of the machine's network take it for root. It needs a user for either.
 *
 * @throws GatehouseError `tool.unsafe`, `tool.not-startable`.
 */
export function checkRunnable(tool: ToolDefinition, host: ToolHost): Account | undefined {
  const account = accountOf(tool, host);
  const isOther = account !== undefined && account.uid !== host.uid;
  if (tool.sandbox !== undefined && !host.hasBubblewrap) {
    throw notStartable(
      tool.name,
      "its sandbox needs bubblewrap",
      "install bubblewrap on the gatehouse's machine",
    );
  }
  if (tool.limits.processes !== undefined && !isOther && host.uid === ROOT) {
    throw notStartable(
      tool.name,
      "a limit on processes does not bind root",
      `declare tools.${tool.name}.user`,
    );
  }
  if (!isOther && !tool.mayRunAsDaemon) refuseOwnUser(tool, host);
  return isOther ? account : undefined;
}

function accountOf(tool: ToolDefinition, host: ToolHost): Account | undefined {
  if (tool.account === undefined) return undefined;
  const account = findAccount(tool.account);
  if (account === undefined) {
    const hint = `check tools.${tool.name}.user and group; a number that has no account needs a group`;
    throw notStartable(tool.name, "its user or group is unknown", hint);
  }
  if (host.uid === ROOT || account.uid === host.uid) return account;
  throw unsafe(tool.name, "only a gatehouse that runs as root can run it as its user", SAFER);
}

function refuseOwnUser({ name, sandbox }: ToolDefinition, host: ToolHost): void {
  if (sandbox === undefined) throw unsafe(name, "it would run as the gatehouse's own user", SAFER);
  if (host.uid !== ROOT || (sandbox.write.length === 0 && !sandbox.hasNetwork)) return;
  const hint = `declare tools.${name}.user beside its sandbox, or neither write paths nor network`;
  throw unsafe(name, "its sandbox would reach outside as root", hint);
}

const SAFER =
  "declare a user of its own (for a gatehouse that runs as root) or a sandbox; allow_same_user = true accepts the risk";

export function notStartable(
  name: string,
  why: string,
  hint: string,
  cause?: unknown,
): GatehouseError<"tool.not-startable"> {
  return new GatehouseError("tool.not-startable", `tool ${name} cannot be started: ${why}`, { hint, cause });
}

export function unsafe(name: string, why: string, hint: string): GatehouseError<"tool.unsafe"> {
  return new GatehouseError("tool.unsafe", `tool ${name} is not safe to run: ${why}`, { hint });
}
