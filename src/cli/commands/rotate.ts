/** Replaces the keys that a vault's secrets lie under, while it serves. */
import { EXIT, GatehouseError, isGatehouseError, LIMITS } from "../../core/index.ts";
import type { Commands, Context } from "../context.ts";
import type { Output } from "../output.ts";
import { type RemoteOption, type Session, withRemoteOption, withSession } from "../session.ts";
import { plural } from "../words.ts";

interface RotateOptions extends RemoteOption {
  readonly kek?: boolean;
  readonly deks?: boolean;
  readonly status?: boolean;
  readonly abort?: boolean;
}

interface Progress {
  readonly kind: string;
  readonly state: string;
  readonly done: number;
  readonly total: number;
  readonly startedAt: number;
}

const BAR_WIDTH = 30;

/** Adds `rotate` to the `vault` command, which is there already. */
export function addRotate({ program, bind }: Commands): void {
  const vault = program.commands.find((command) => command.name() === "vault") ?? program.command("vault");
  const command = vault
    .command("rotate")
    .description("replace the keys that secrets lie under; the vault serves meanwhile")
    .option("--kek", "a new key-encryption key; quick, values are not touched")
    .option("--deks", "new keys of the values themselves: every kept version is sealed anew")
    .option("--status", "tell how far it is")
    .option("--abort", "end it; what is done stays done");
  bind(withRemoteOption(command), rotate);
}

async function rotate(
  context: Context,
  _args: readonly string[],
  options: RotateOptions,
): Promise<number | undefined> {
  const wishes = [options.kek, options.deks, options.status, options.abort].filter((wish) => wish === true);
  if (wishes.length !== 1) {
    throw new GatehouseError("usage.bad-argument", "say what to do, one thing", {
      hint: "--kek, --deks, --status or --abort",
    });
  }
  return await withSession(context, options, (session) => {
    if (options.abort === true) return abort(context, session);
    if (options.status === true) return status(context, session);
    return begin(context, session, options.kek === true ? "kek" : "deks");
  });
}

async function abort({ output }: Context, { client, methods, options }: Session): Promise<undefined> {
  const { isAborted } = await client.call(methods.Keys.Abort, {}, options);
  output.done({ isAborted }, () =>
    isAborted
      ? "Ended. What is done stays done; the next rotation takes up the rest."
      : "No rotation was under way.",
  );
}

async function status({ output }: Context, { client, methods, options }: Session): Promise<undefined> {
  for await (const response of client.stream(methods.Keys.Watch, {}, options)) {
    const progress = asProgress(response);
    output.result(progress, () => describe(progress));
    return;
  }
  output.result({ state: "none" }, () => "No rotation is under way.");
}

async function begin(
  context: Context,
  { client, methods, options }: Session,
  kind: string,
): Promise<number | undefined> {
  const { output } = context;
  let last = asProgress(await client.call(methods.Keys.Rotate, { kind }, options));
  while (last.state === "running") {
    last = await followed({ client, methods, options }, last, (progress) => show(output, progress));
  }
  output.result(last, () => describe(last));
  return last.state === "done" ? undefined : EXIT.conflict;
}

/** Until the rotation, or the longest call there is, ends. */
async function followed(
  { client, methods, options }: Session,
  from: Progress,
  tell: (progress: Progress) => void,
): Promise<Progress> {
  let last = from;
  const watching = { ...options, timeoutMs: LIMITS.callTimeoutMaxMs };
  try {
    for await (const response of client.stream(methods.Keys.Watch, {}, watching)) {
      last = asProgress(response);
      if (last.state === "running") tell(last);
    }
  } catch (failure) {
    if (!isGatehouseError(failure, "rpc.deadline")) throw failure;
  }
  return last;
}

function show(output: Output, progress: Progress): void {
  if (output.isJson) {
    output.result(progress, () => "");
    return;
  }
  const filled = Math.round((BAR_WIDTH * progress.done) / Math.max(1, progress.total));
  const bar = `${"█".repeat(filled)}${"░".repeat(BAR_WIDTH - filled)}`;
  output.progress(`${bar} ${progress.done} of ${plural(progress.total, "version")}`);
}

function describe({ kind, state, done, total }: Progress): string {
  const what = kind === "kek" ? "key-encryption key" : "values' keys";
  return `Rotation of the ${what}: ${state}, ${done} of ${plural(total, "version")}`;
}

/** Plain fields: a decoded message has more. */
function asProgress({ kind, state, done, total, startedAt }: Progress): Progress {
  return { kind, state, done, total, startedAt };
}
