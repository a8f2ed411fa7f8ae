import { setTimeout as pause } from "node:timers/promises";
import { GatehouseError, isGatehouseError } from "../../core/index.ts";
import type { Commands, Context } from "../context.ts";
import { isTypeable, needsNobody } from "../keys.ts";
import { Passphrase } from "../passphrase.ts";
import { type RemoteOption, type Session, withRemoteOption, withSession } from "../session.ts";

const POLL_MS = 100;

export function addSeal({ program, bind }: Commands): void {
  const seal = program
    .command("seal")
    .description("drop the vault's keys and everything opened with them, until somebody unseals it");
  bind(withRemoteOption(seal), async (context, _args, options: RemoteOption) => {
    await withSession(
      context,
      options,
      ask(({ client, methods, options: call }) => client.call(methods.Seal.Seal, {}, call)),
    );
    await untilState(context, options, (state) => state === "sealed");
    context.output.result({ state: "sealed" }, () => "sealed");
    return undefined;
  });
  const unseal = program
    .command("unseal")
    .description("give a sealed gatehouse its vault's key again")
    .option(
      "--kek-passphrase-file <file>",
      "read the passphrase, or the recovery key, from a file's first line; - is standard input",
    )
    .option("--recovery", "give the recovery key instead");
  bind(withRemoteOption(unseal), runUnseal);
}

interface UnsealOptions extends RemoteOption {
  readonly kekPassphraseFile?: string;
  readonly recovery?: boolean;
}

async function runUnseal(
  context: Context,
  _args: readonly string[],
  options: UnsealOptions,
): Promise<undefined> {
  const { state, keyKinds } = await withSession(context, options, status);
  const wasSealed = state === "sealed";
  if (wasSealed) {
    await unsealWith(context, options, keyKinds);
  }
  const now = wasSealed ? await untilState(context, options, (seen) => seen !== "sealed") : state;
  context.output.result({ state: now, wasSealed }, () => (wasSealed ? "open" : "it was open already"));
}

/** What was typed, where something must be, is on its way for as long as the call lasts, and no longer. */
async function unsealWith(
  context: Context,
  options: UnsealOptions,
  keyKinds: readonly string[],
): Promise<void> {
  if (options.recovery !== true && options.kekPassphraseFile === undefined && needsNobody(keyKinds)) {
    const isOpen = await openedByItself(context, options, keyKinds);
    if (isOpen) return;
  }
  const typed = isTypeable(keyKinds) ? await askKey(context, options, keyKinds) : new Uint8Array();
  const isRecovery = isRecoveryKey(options, keyKinds);
  try {
    await giveKey(context, options, isRecovery ? { recoveryKey: typed } : { passphrase: typed });
  } finally {
    typed.fill(0);
  }
}

/** Answers false where the key that needs nobody is gone, and somebody may know another. */
async function openedByItself(
  context: Context,
  options: UnsealOptions,
  keyKinds: readonly string[],
): Promise<boolean> {
  try {
    await giveKey(context, options, {});
    return true;
  } catch (failure) {
    if (isGatehouseError(failure, "vault.key-missing") && isTypeable(keyKinds)) return false;
    throw failure;
  }
}

async function giveKey(
  context: Context,
  options: UnsealOptions,
  key: { readonly passphrase?: Uint8Array; readonly recoveryKey?: Uint8Array },
): Promise<void> {
  await withSession(context, options, ({ client, methods, options: call }) =>
    // Who typed a wrong key is told how long to wait, and does not wait half a minute to hear it.
    client.call(methods.Seal.Unseal, key, { ...call, retry: "never" }),
  );
}

/** Where a recovery key is all that somebody can type, it is what is asked for. */
function isRecoveryKey({ recovery }: UnsealOptions, keyKinds: readonly string[]): boolean {
  return recovery === true || (keyKinds.includes("recovery") && !keyKinds.includes("passphrase"));
}

async function askKey(
  context: Context,
  options: UnsealOptions,
  keyKinds: readonly string[],
): Promise<Uint8Array> {
  const what = isRecoveryKey(options, keyKinds) ? "recovery key" : "passphrase";
  using passphrase = new Passphrase(context, options.kekPassphraseFile, what);
  const answer = await passphrase.ask({ purpose: "open", id: "" });
  if (answer instanceof Uint8Array) return answer;
  return answer.use((bytes) => new Uint8Array(bytes));
}

function ask(call: (session: Session) => Promise<unknown>): (session: Session) => Promise<void> {
  return async (session) => {
    try {
      await call(session);
    } catch (failure) {
      // The answer was lost on the way, and the second request came to a door that is sealed.
      if (!isGatehouseError(failure, "vault.sealed")) throw failure;
    }
  };
}

async function status({ client, methods, options }: Session) {
  const { state, keyKinds } = await client.call(methods.Health.Status, {}, options);
  return { state, keyKinds };
}

/** Asks until the state is as wanted: the door takes a moment to change. @throws rpc.deadline */
async function untilState(
  context: Context,
  options: RemoteOption,
  isWanted: (state: string) => boolean,
): Promise<string> {
  const { config, signal } = context;
  const end = performance.now() + config.timeoutMs;
  while (performance.now() < end) {
    const state = await stateNow(context, options);
    if (state !== undefined && isWanted(state)) return state;
    await pause(POLL_MS, undefined, { signal });
  }
  throw new GatehouseError("rpc.deadline", "the gatehouse has not changed its state in time", {
    hint: "look at it with: gatehouse status",
  });
}

/** Undefined while the door changes. */
async function stateNow(context: Context, options: RemoteOption): Promise<string | undefined> {
  try {
    return (await withSession(context, options, status)).state;
  } catch (failure) {
    if (isGatehouseError(failure, "vault.sealed")) return "sealed";
    if (isGatehouseError(failure) && failure.isRetryable) return undefined;
    throw failure;
  }
}
