import type { METHODS } from "../client/index.ts";
import type { Context } from "./context.ts";
import { asRequest, requestWords } from "./policy-document.ts";
import { type RemoteOption, withSession } from "./session.ts";
import { printable } from "./style.ts";
import { plural, relativeDate } from "./words.ts";

type ShadowRequest = Parameters<(typeof METHODS)["Policy"]["Shadow"]["request"]["encode"]>[0];

/** What a change would have decided otherwise, of the requests that came lately. */
export async function showShadow(
  context: Context,
  options: RemoteOption,
  change: ShadowRequest,
): Promise<undefined> {
  const answer = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Policy.Shadow, change, call),
  );
  const changed = answer.changed.map((row) => ({
    request: asRequest(row.request),
    count: row.count ?? 0,
    before: row.wasAllowed === true ? "allow" : "deny",
    after: row.wouldBeAllowed === true ? "allow" : "deny",
    decidedBy: row.decidedBy ?? [],
    wouldBeDecidedBy: row.wouldBeDecidedBy ?? [],
  }));
  const { recorded, recordedSince, changedInAll } = answer;
  const { output } = context;
  output.result({ changed, changedInAll, recorded, recordedSince }, () => {
    const since = recorded === 0 ? "" : ` since ${relativeDate(recordedSince, Date.now())}`;
    const head = `of ${plural(recorded, "different request")}${since}, ${changedInAll} would be decided otherwise`;
    const { style } = output;
    const lines = changed.map(({ request, count, before, after, wouldBeDecidedBy }) => {
      const arrow =
        after === "allow" ? style.green(`${before} → ${after}`) : style.red(`${before} → ${after}`);
      const by =
        wouldBeDecidedBy.length === 0 ? "" : style.dim(`  by ${printable(wouldBeDecidedBy.join(", "))}`);
      return `${arrow}  ${requestWords(request)}${style.dim(`  ×${count}`)}${by}`;
    });
    const more = changedInAll > changed.length ? [`… and ${changedInAll - changed.length} more`] : [];
    return [head, ...lines, ...more, style.dim("nothing was changed")].join("\n");
  });
}
