import { Command } from "commander";
import { addApproval } from "./commands/approval.ts";
import { addAudit } from "./commands/audit.ts";
import { addBackup } from "./commands/backup.ts";
import { addCa } from "./commands/ca.ts";
import { addCompletion } from "./commands/completion.ts";
import { addConfig } from "./commands/config.ts";
import { addDevice } from "./commands/device.ts";
import { addInit } from "./commands/init.ts";
import { addKeys } from "./commands/keys.ts";
import { addPair } from "./commands/pair.ts";
import { addPing } from "./commands/ping.ts";
import { addPolicy } from "./commands/policy.ts";
import { addRecovery } from "./commands/recovery.ts";
import { addRemote } from "./commands/remote.ts";
import { addRotate } from "./commands/rotate.ts";
import { addRun } from "./commands/run.ts";
import { addSeal } from "./commands/seal.ts";
import { addServe } from "./commands/serve.ts";
import { addStatus } from "./commands/status.ts";
import { addTool } from "./commands/tool.ts";
import { addUser } from "./commands/user.ts";
import { addVault } from "./commands/vault.ts";
import { addVersion } from "./commands/version.ts";
import type { Commands, Context, GlobalOptions, Run } from "./context.ts";
import type { Io } from "./io.ts";

/** Runs one command's work with the options that were given to it and to the program. */
export type Execute = (
  options: GlobalOptions,
  work: (context: Context) => Promise<number | undefined>,
) => Promise<void>;

/** The whole command line as a tree; parsing it calls `execute` once. Complaints are thrown, not printed. */
export function createProgram(io: Io, execute: Execute): Command {
  const program = new Command("gatehouse")
    .description(
      "Holds this machine's identity and secrets and lets paired devices use them, over QUIC, by policy.",
    )
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      // Help that stands in for a missing command; complaints are thrown.
      writeErr: (text) => void (io.argv.includes("--json") || io.stderr.write(text)),
      outputError: () => undefined,
    })
    .configureHelp({ showGlobalOptions: true })
    .option("--json", "print one JSON document a line on standard output")
    .option("--home <dir>", "the install to use (GATEHOUSE_HOME)")
    .option("--quiet", "print results only")
    .option("--no-color", "print without colours (NO_COLOR)")
    .option("--timeout <duration>", "give up on a call after this long, such as 10s");
  const commands: Commands = {
    program,
    bind: <Options extends object>(command: Command, work: Run<Options>) => {
      command.action(() =>
        execute(command.optsWithGlobals<GlobalOptions>(), (context) =>
          work(context, command.args, command.opts<Options>()),
        ),
      );
    },
  };
  for (const add of [
    ...[
      addInit,
      addServe,
      addStatus,
      addPair,
      addDevice,
      addUser,
      addPolicy,
      addTool,
      addApproval,
      addAudit,
      addCa,
      addRemote,
      addRun,
      addRecovery,
      addBackup,
      addVault,
      addKeys,
      addRotate,
    ],
    ...[addSeal, addPing, addConfig, addVersion, addCompletion],
  ])
    add(commands);
  return program;
}
