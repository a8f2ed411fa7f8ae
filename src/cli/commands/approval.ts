import { EXIT } from "../../core/index.ts";
import type { Commands, Context } from "../context.ts";
import { canAsk, confirm } from "../input.ts";
import { type RemoteOption, type Session, withRemoteOption, withSession } from "../session.ts";
import { printable } from "../style.ts";
import { table } from "../table.ts";
import { type ApprovalDocument, asApproval, callWords, describeApproval } from "../tool-document.ts";
import { ago } from "../words.ts";
import { watch } from "./approval-watch.ts";

export function addApproval(commands: Commands): void {
  const approval = commands.program
    .command("approval")
    .description("tool calls that wait for somebody's yes");
  const add = (usage: string, description: string) =>
    withRemoteOption(approval.command(usage).description(description));
  commands.bind(add("ls", "list what waits").option("--all", "also what is over"), list);
  commands.bind(add("show <id>", "say what a call would do, and who asks for it"), show);
  commands.bind(
    add("approve <id>", "say yes: to exactly this call, once, and within five minutes")
      .option("--comment <text>", "for whoever asked, and for the record")
      .option("--yes", "do not ask on a terminal"),
    approve,
  );
  commands.bind(
    add("deny <id>", "say no").option("--comment <text>", "for whoever asked, and for the record"),
    deny,
  );
  commands.bind(add("watch", "print what waits as it comes and goes"), watch);
}

interface ListOptions extends RemoteOption {
  readonly all?: boolean;
}

async function list(
  context: Context,
  _args: readonly string[],
  { all, ...remote }: ListOptions,
): Promise<undefined> {
  const answer = await withSession(context, remote, ({ client, methods, options }) =>
    client.call(methods.Approvals.List, { includeEnded: all === true }, options),
  );
  const approvals = answer.approvals.map(asApproval);
  const { output } = context;
  if (approvals.length === 0 && !output.isJson) {
    output.note("nothing waits");
    return;
  }
  if (answer.more > 0) output.note(`${answer.more} older ones are left out`);
  output.result({ approvals, more: answer.more }, () =>
    table(
      ["id", "call", "asked by", "asked", "state"],
      approvals.map((approval) => [
        ...[approval.id.slice(0, 8), callWords(approval), approval.requestedByName],
        ...[ago(approval.requestedAt, Date.now()), approval.state],
      ]),
      output.style,
    ),
  );
}

async function show(
  context: Context,
  [id = ""]: readonly string[],
  options: RemoteOption,
): Promise<undefined> {
  const found = await withSession(context, options, (session) => fetch(session, id));
  const { output } = context;
  output.result(found, () => describeApproval(found, Date.now(), output.style));
}

interface DecideOptions extends RemoteOption {
  readonly comment?: string;
  readonly yes?: boolean;
}

/** The yes is for what was shown here, by its hash: what changed meanwhile is not approved with it. */
async function approve(
  context: Context,
  [id = ""]: readonly string[],
  { comment = "", yes, ...remote }: DecideOptions,
): Promise<number | undefined> {
  const { output } = context;
  return withSession(context, remote, async (session) => {
    const found = await fetch(session, id);
    if (yes !== true && canAsk(context)) {
      output.note(describeApproval(found, Date.now(), output.noteStyle));
      if (!(await confirm(context, "Approve this call?"))) {
        output.note("nothing was approved");
        return EXIT.unexpected;
      }
    }
    await decide(context, session, {
      id: found.id,
      approve: true,
      comment,
      argumentsHash: found.argumentsHash,
    });
    return undefined;
  });
}

async function deny(
  context: Context,
  [id = ""]: readonly string[],
  { comment = "", ...remote }: DecideOptions,
): Promise<undefined> {
  await withSession(context, remote, (session) =>
    decide(context, session, { id, approve: false, comment, argumentsHash: "" }),
  );
}

async function decide(
  { output }: Context,
  { client, methods, options }: Session,
  request: Parameters<Session["methods"]["Approvals"]["Decide"]["request"]["encode"]>[0],
): Promise<void> {
  const decided = asApproval(await client.call(methods.Approvals.Decide, request, options));
  output.done(decided, () => `${printable(decided.state)}: ${callWords(decided)}`);
}

async function fetch({ client, methods, options }: Session, id: string): Promise<ApprovalDocument> {
  return asApproval(await client.call(methods.Approvals.Show, { id }, options));
}
