import { isGatehouseError, LIMITS } from "../../core/index.ts";
import { parseCount } from "../arguments.ts";
import { asAuditEntry, auditLine } from "../audit-document.ts";
import type { Commands, Context } from "../context.ts";
import { type RemoteOption, withRemoteOption, withSession } from "../session.ts";

interface TailOptions extends RemoteOption {
  readonly lines: string;
  readonly after?: string;
  readonly follow?: boolean;
}

export function addAudit(commands: Commands): void {
  const audit = commands.program
    .command("audit")
    .description("what was asked of the gatehouse, by whom, and what came of it");
  commands.bind(
    withRemoteOption(audit.command("tail").description("print the newest records, oldest first"))
      .option("-n, --lines <n>", "so many of the newest, 10 000 at most", "20")
      .option("--after <sequence>", "instead: all after this one")
      .option("-f, --follow", "go on with what comes, until interrupted"),
    tail,
  );
}

async function tail(
  context: Context,
  _args: readonly string[],
  { lines, after, follow = false, ...remote }: TailOptions,
): Promise<undefined> {
  const newest = parseCount(lines, "--lines", { min: 1, max: 10_000 });
  let from = after === undefined ? undefined : parseCount(after, "--after", { min: 0 });
  await withSession(context, remote, async ({ client, methods, options }) => {
    const call = follow ? { signal: options.signal, timeoutMs: LIMITS.callTimeoutMaxMs } : options;
    do {
      try {
        const place = from === undefined ? { newest } : { after: from };
        for await (const message of client.stream(methods.Audit.Read, { ...place, follow }, call)) {
          const entry = asAuditEntry(message);
          from = entry.sequence;
          context.output.result(entry, () => auditLine(entry, context.output.style));
        }
      } catch (failure) {
        const isOver =
          isGatehouseError(failure, "rpc.deadline") || isGatehouseError(failure, "rpc.overloaded");
        if (!follow || !isOver) throw failure;
      }
    } while (follow && !context.signal.aborted);
  });
}
