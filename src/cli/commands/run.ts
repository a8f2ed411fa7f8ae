/** `gatehouse run`: secrets for one command, in its environment and nowhere else. */
import { GatehouseError, isGatehouseError, LIMITS } from "../../core/index.ts";
import { gathered } from "../arguments.ts";
import { runChild } from "../child.ts";
import { childEnvironment, type FetchedVariable } from "../child-environment.ts";
import { concurrently } from "../concurrently.ts";
import type { Commands, Context } from "../context.ts";
import { readTextFile } from "../input.ts";
import { parseSecretVariables, type SecretVariable } from "../secret-variables.ts";
import { type RemoteOption, type Session, withRemoteOption, withSession } from "../session.ts";

/** Calls in flight: a slow link is filled, and the gatehouse's other callers are not kept waiting. */
const FETCHES = 16;

export function addRun({ program, bind }: Commands): void {
  const command = program
    .command("run [command...]")
    .usage("--secret ENV=PATH[@VERSION] … -- COMMAND [ARG…]")
    .description("run a command with secrets in its environment, and nowhere else")
    .option("--secret <env=path>", "a secret and the variable for it, again for more", gathered)
    .option("--env-file <file>", "take ENV=PATH lines from a file, too; # begins a comment")
    .option("--allow-loader-variables", "also such as PATH or LD_PRELOAD, which decide what code runs");
  bind(withRemoteOption(command), runCommand);
}

interface RunOptions extends RemoteOption {
  readonly secret?: readonly string[];
  readonly envFile?: string;
  readonly allowLoaderVariables?: boolean;
}

async function runCommand(context: Context, words: readonly string[], options: RunOptions): Promise<number> {
  const [command, ...args] = commandWords(context, words);
  const { secret: flags = [], envFile, allowLoaderVariables = false } = options;
  const file = envFile === undefined ? "" : await readTextFile(context, envFile, LIMITS.smallFileBytes);
  const wanted = parseSecretVariables({ flags, file, allowLoaderVariables });
  return runChild({ command, args, env: await environmentOf(context, wanted, options) }, context.io);
}

/** All that follows `--`, as it is: before it, a flag of the command would be taken for one of ours. */
function commandWords({ io }: Context, words: readonly string[]): readonly [string, ...string[]] {
  const start = io.argv.indexOf("--") + 1;
  const [command, ...args] = start === 0 ? [] : io.argv.slice(start);
  if (command !== undefined && command !== "" && words.length === args.length + 1) return [command, ...args];
  throw new GatehouseError("usage.bad-argument", "run takes a command, after --", {
    hint: "for example: gatehouse run --secret DATABASE_URL=shared/db -- ./server --port 8080",
  });
}

/** The connection is closed when it answers, and what had come over it is wiped. */
async function environmentOf(context: Context, wanted: readonly SecretVariable[], options: RemoteOption) {
  const fetched: FetchedVariable[] = [];
  try {
    await withSession(context, options, (session) =>
      concurrently(wanted, FETCHES, async (secret) => {
        fetched.push({ ...secret, value: await fetchValue(session, secret) });
      }),
    );
    return childEnvironment(context.io.env, fetched);
  } finally {
    for (const { value } of fetched) value.fill(0);
  }
}

async function fetchValue(
  { client, methods, options }: Session,
  { name, path, version }: SecretVariable,
): Promise<Uint8Array> {
  try {
    return (await client.call(methods.Vault.Get, { path, version }, options)).value;
  } catch (cause) {
    if (!isGatehouseError(cause)) throw cause;
    const { code, message, hint, retryAfterMs } = cause;
    throw new GatehouseError(code, `${path} for ${name}: ${message}`, {
      ...(hint === undefined ? {} : { hint }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      cause,
    });
  }
}
