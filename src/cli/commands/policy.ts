import { gathered } from "../arguments.ts";
import type { Commands } from "../context.ts";
import { withKeyOptions } from "../keys.ts";
import { withRemoteOption } from "../session.ts";
import { put, remove, rollback } from "./policy-changes.ts";
import { explain } from "./policy-explain.ts";
import { exportAll, history, list, show } from "./policy-reading.ts";
import { rescue } from "./policy-rescue.ts";
import { check, test } from "./policy-trial.ts";

const IF_SET = ["--if-set <n>", "only while this set is in force"] as const;
const FORCE = ["--force-lockout", "also when no owner could change policies any more"] as const;
const SHADOW = [
  "--shadow",
  "change nothing: show which of the latest requests would be decided otherwise",
] as const;

export function addPolicy(commands: Commands): void {
  const policy = commands.program
    .command("policy")
    .description("who may what: read, write, test and understand the policies");
  const add = (usage: string, description: string) =>
    withRemoteOption(policy.command(usage).description(description));
  commands.bind(add("ls", "list the policies in force"), list);
  commands.bind(add("show <id>", "print a source as it was written"), show);
  commands.bind(
    add("put <id>", "add a source of policies or replace it, from a file or standard input")
      .option("--file <file>", "take the Cedar text from a file; - is standard input")
      .option("--template <source/policy>", "instead of a text, fill in the slots of a template")
      .option("--principal <entity>", 'for ?principal, such as Role::"ci" or Device::"…"')
      .option("--resource <entity>", 'for ?resource, such as Folder::"shared/ci" or Tool::"deploy"')
      .option(...IF_SET)
      .option(...FORCE)
      .option(...SHADOW),
    put,
  );
  commands.bind(
    add("rm <id>", "take a source away")
      .option(...IF_SET)
      .option(...FORCE)
      .option(...SHADOW),
    remove,
  );
  commands.bind(
    add(
      "rollback <set>",
      "put the policies of an earlier set in force again; 0: what the gatehouse comes with",
    )
      .option(...FORCE)
      .option(...SHADOW),
    rollback,
  );
  commands.bind(
    add("history", "list the sets of policies that were in force").option(
      "--limit <n>",
      "so many at most",
      "20",
    ),
    history,
  );
  commands.bind(
    add("export <dir>", "write each source to a file of its own").option("--set <n>", "of an earlier set"),
    exportAll,
  );
  commands.bind(
    add("check [files...]", "find what does not fit, can fail, or never decided anything").summary(
      "check files, or without any the policies in force",
    ),
    check,
  );
  commands.bind(
    add("test <table> [files...]", "decide every row of a table and compare").summary(
      "by the policies of the files, or without any by those in force",
    ),
    test,
  );
  commands.bind(
    add("explain [action] [resource]", "say what would be decided, by which policies, and what is missing")
      .option("--device <device>", "whose request it would be; this one's by default")
      .option("--arg <name=value>", "an argument of a tool's call, again for more", gathered)
      .option("--wire <wire>", "quic or grpc", "quic")
      .option("--from <address>", "the IP address it would come from")
      .option("--at <time>", "when, such as 2026-12-24T08:00:00Z; now by default")
      .option("--approved-by <device>", "as if that device had approved it")
      .option("--role <role>", "which role `pair open` or `device grant` would hand out")
      .option("--last [device]", "instead: the newest request that was denied, or that device's"),
    explain,
  );
  commands.bind(
    withKeyOptions(
      policy
        .command("rescue")
        .description("with the gatehouse stopped and its key at hand: put a set in force whatever it says"),
    )
      .option("--set <n>", "which; what the gatehouse comes with by default", "0")
      .option("--yes", "do not ask on a terminal"),
    rescue,
  );
}
