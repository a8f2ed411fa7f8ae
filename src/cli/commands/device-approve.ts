/** The answers to joiners that have proven a pairing code. */
import { EXIT, GatehouseError } from "../../core/index.ts";
import type { Context } from "../context.ts";
import { shortId } from "../device-document.ts";
import { canAsk, confirm } from "../input.ts";
import { asJoiner, describeJoiner, type Joiner } from "../joiner.ts";
import { type RemoteOption, type Session, withSession } from "../session.ts";
import { printable, type Style } from "../style.ts";

interface ApproveOptions extends RemoteOption {
  readonly deny?: boolean;
  readonly yes?: boolean;
}

export async function approve(
  context: Context,
  [device]: readonly string[],
  options: ApproveOptions,
): Promise<number | undefined> {
  return withSession(context, options, async (session) => {
    if (device !== undefined) return answerOne(context, session, device, options);
    if (options.deny === true) {
      throw new GatehouseError("usage.bad-argument", "--deny needs the device to refuse", {
        hint: "see who waits with: gatehouse device approve",
      });
    }
    return answerAll(context, session);
  });
}

async function answerAll(context: Context, session: Session): Promise<undefined> {
  const { output, commandLine } = context;
  const joiners = await waiting(session);
  if (!canAsk(context)) {
    output.result({ joiners }, () => {
      const blocks = joiners.map((joiner) => {
        return `${describe(joiner, output.style)}\n    ${commandLine(`device approve ${shortId(joiner.id)}`)}`;
      });
      return joiners.length === 0 ? "nobody waits" : blocks.join("\n\n");
    });
    return;
  }
  if (joiners.length === 0) output.note("nobody waits");
  for (const joiner of joiners) {
    output.note(describe(joiner, output.noteStyle));
    await decide(context, session, { device: joiner.id, approve: await confirm(context, "Let it in?") });
  }
}

/** Who types an id may not know what else comes with it: a terminal shows that first. */
async function answerOne(
  context: Context,
  session: Session,
  device: string,
  { deny = false, yes = false }: ApproveOptions,
): Promise<number | undefined> {
  if (!deny && !yes && canAsk(context)) {
    const joiner = joinerNamed(device, await waiting(session));
    context.output.note(describe(joiner, context.output.noteStyle));
    if (!(await confirm(context, "Let it in?"))) {
      context.output.note("nothing was decided; refuse it with --deny");
      return EXIT.unexpected;
    }
  }
  await decide(context, session, { device, approve: !deny });
  return undefined;
}

/** Nobody is let in whom the person has not been shown. */
function joinerNamed(text: string, joiners: readonly Joiner[]): Joiner {
  const prefix = text.replace(/[\s-]/g, "").toLowerCase().replaceAll("0", "o");
  const [joiner, ...more] = joiners.filter(({ id }) => prefix.length >= 8 && id.startsWith(prefix));
  if (joiner !== undefined && more.length === 0) return joiner;
  throw new GatehouseError("pairing.not-waiting", "nobody by that id waits for a yes", {
    hint: "see who waits with: gatehouse device approve",
  });
}

async function decide(
  { output }: Context,
  { client, methods, options }: Session,
  request: { readonly device: string; readonly approve: boolean },
): Promise<void> {
  const { joiner: decided } = await client.call(methods.Pairing.Decide, request, options);
  const joiner = asJoiner(decided ?? {});
  const verb = request.approve ? "approved" : "denied";
  output.done({ decision: verb, joiner }, () => {
    const consequence = request.approve ? "" : "; the pairing window is closed";
    return `${verb} ${printable(joiner.name)} (${shortId(joiner.id)}…)${consequence}`;
  });
}

async function waiting({ client, methods, options }: Session): Promise<readonly Joiner[]> {
  const { joiners } = await client.call(methods.Pairing.Waiting, {}, options);
  return joiners.map(asJoiner);
}

function describe(joiner: Joiner, style: Style): string {
  return describeJoiner(joiner, { nowMs: Date.now(), style });
}
