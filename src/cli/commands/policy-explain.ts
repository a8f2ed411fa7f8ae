import { GatehouseError } from "../../core/index.ts";
import { parsePairs } from "../arguments.ts";
import type { Context } from "../context.ts";
import { asReason, asRequest, explanationWords } from "../policy-document.ts";
import { type RemoteOption, withSession } from "../session.ts";

interface ExplainOptions extends RemoteOption {
  readonly device?: string;
  readonly arg?: readonly string[];
  readonly wire: string;
  readonly from?: string;
  readonly at?: string;
  readonly approvedBy?: string;
  readonly role?: string;
  readonly last?: string | boolean;
}

export async function explain(
  context: Context,
  [action = "", resource = ""]: readonly string[],
  options: ExplainOptions,
): Promise<undefined> {
  const { last } = options;
  if ((last === undefined) === (action === "" || resource === "")) {
    throw new GatehouseError("usage.bad-argument", "explain takes an action and a resource, or --last", {
      hint: "for example: gatehouse policy explain --device laptop secret:write secret:shared/db",
    });
  }
  const request =
    last === undefined
      ? { action, resource, ...circumstances(options) }
      : { lastDenial: true, device: typeof last === "string" ? last : "" };
  const answer = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Policy.Explain, request, call),
  );
  const explanation = {
    ...{ allowed: answer.isAllowed, reason: answer.reason, request: asRequest(answer.request) },
    ...{ decided: answer.decided.map(asReason), nearest: answer.nearest.map(asReason) },
  };
  const { output } = context;
  output.result(explanation, () => explanationWords(explanation, output.style));
}

function circumstances({
  device = "",
  arg = [],
  wire,
  from = "",
  at,
  approvedBy = "",
  role = "",
}: ExplainOptions) {
  return {
    ...{ device, wire, remoteAddress: from, approvedBy, role, arguments: { ...parsePairs(arg, "--arg") } },
    time: at === undefined ? 0 : timeIn(at),
  };
}

function timeIn(text: string): number {
  const at = Date.parse(text);
  if (Number.isSafeInteger(at) && at > 0) return at;
  throw new GatehouseError("usage.bad-argument", "--at takes a time", {
    hint: "for example --at 2026-12-24T08:00:00Z",
  });
}
