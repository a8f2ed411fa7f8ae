import { Option } from "commander";
import { GatehouseError, isGatehouseError, systemClock, systemRandom } from "../../core/index.ts";
import type { Daemon, PairingDoorEvent } from "../../daemon/index.ts";
import type { Commands, Context, GlobalOptions } from "../context.ts";
import { canAsk } from "../input.ts";
import type { Io, Parent } from "../io.ts";
import { asJoiner } from "../joiner.ts";
import { isTypeable, type KeyOptions, needsNobody, vaultKey, withKeyOptions } from "../keys.ts";
import { loadDaemon } from "../load-daemon.ts";
import { packageVersion } from "../package-version.ts";
import { type PairingEvent, watchPairing } from "../pairing-watch.ts";
import {
  type RecoveryChoice,
  type RecoveryOptions,
  recoveryChoice,
  withRecoveryOptions,
} from "../recovery-key.ts";
import { ServiceManager } from "../service-manager.ts";
import { stderrLogger } from "../stderr-logger.ts";
import { type Life, startSelf, supervise } from "../supervise.ts";
import { facts } from "../table.ts";
import { grouped } from "../words.ts";

export function addServe({ program, bind }: Commands): void {
  const command = program
    .command("serve")
    .description("run the gatehouse of this home until it is told to stop")
    .option("--listen <host:port>", "where to listen, 127.0.0.1:7443 by default", gather)
    .option("--grpc <host:port|off>", "where to serve gRPC over TCP, where --listen says by default")
    .option("--init", "make the home first when it is new")
    .option("--sealed", "start without the vault's key, and wait for: gatehouse unseal")
    .option("--open-pairing", "let one new device in, with a code that is shown here")
    .option("--name <name>", "with --init, what to call it; the host's name by default")
    .option("--supervise", "start it again whenever it ends unexpectedly")
    .addOption(new Option("--supervised <life>").choices(["first", "again"]).hideHelp());
  bind(withRecoveryOptions(withKeyOptions(command)), (context, _args, options: ServeOptions) =>
    wantsSupervision(context, options) ? superviseSelf(context, options) : serve(context, options),
  );
}

/** The system lets nobody inside of a container end its first process, which then is supervised come what may. */
function wantsSupervision({ io }: Context, { supervise: isAsked, supervised }: ServeOptions): boolean {
  return supervised === undefined && (isAsked === true || io.pid === 1);
}

interface ServeOptions extends GlobalOptions, KeyOptions, RecoveryOptions {
  readonly init?: boolean;
  readonly sealed?: boolean;
  readonly openPairing?: boolean;
  readonly supervise?: boolean;
  /** What `--supervise` starts this program with. */
  readonly supervised?: Life;
}

async function superviseSelf(context: Context, { kekPassphraseFile }: ServeOptions): Promise<number> {
  if (kekPassphraseFile === "-") {
    throw new GatehouseError("usage.bad-argument", "standard input gives the passphrase only once", {
      hint: "name a file with --kek-passphrase-file: the daemon may have to be started again",
    });
  }
  const { io } = context;
  const logger = await stderrLogger(context, systemClock);
  return supervise({ start: (life) => startSelf(io, life), stop: io.stop, clock: systemClock, logger });
}

async function serve(context: Context, options: ServeOptions): Promise<undefined> {
  const { config, io, output } = context;
  const parent = supervisorOf(io, options);
  const isAgain = options.supervised === "again";
  const stop = parent === undefined ? io.stop : AbortSignal.any([io.stop, parent.gone]);
  const logger = await stderrLogger(context, systemClock);
  const { Daemon: daemonClass, homeKeyKinds } = await loadDaemon();
  const { home, keyDir, name } = config;
  const kinds = await homeKeyKinds(home);
  using key = vaultKey(context, options, kinds);
  const isNew = options.init === true && !isAgain && kinds.length === 0;
  using recovery = isNew ? recoveryOfNew(context, options) : undefined;
  const begin = (start: "open" | "sealed") =>
    daemonClass.start({
      ...{
        home,
        keyDir,
        listen: config.listen,
        grpc: config.grpc,
        leafLifetimeMs: config.certificateLifetimeMs,
      },
      ...{ config, kek: key.provider, version: packageVersion(), pid: io.pid, start },
      ...(options.init === true && !isAgain ? { init: { name, recipient: recovery?.recipient } } : {}),
      ...{ clock: systemClock, random: systemRandom, logger },
      watchdog: parent === undefined ? {} : { parentPid: parent.pid },
    });
  await using daemon = await (startsSealed(context, options, kinds)
    ? begin("sealed")
    : begin("open").catch((failure: unknown) => {
        if (!waitsForKey(options, kinds, failure)) throw failure;
        logger.warn("key-missing", { kinds: kinds.join(" ") });
        return begin("sealed");
      }));
  // The vault is open: nobody needs the passphrase any more.
  key[Symbol.dispose]();
  recovery?.show(context);
  using manager = ServiceManager.of(io, systemClock, logger);
  const { quic, grpc, deviceId, fingerprint, state } = daemon.ready;
  output.result({ event: "ready", quic, grpc, deviceId, fingerprint, name: daemon.ready.name, state }, () =>
    greeting(context, daemon),
  );
  parent?.tell("ready");
  manager?.ready();
  const pairing = options.openPairing === true && !isAgain ? letOneIn(context, daemon, stop) : undefined;
  await Promise.race([aborted(stop), ...(pairing === undefined ? [] : [pairing.then(forever)])]);
  manager?.stopping();
  output.note("stopping: calls in flight get 5 seconds");
}

/** What a daemon says goes to a log wherever nobody watches it, and no secret belongs there. */
function recoveryOfNew(context: Context, options: ServeOptions): RecoveryChoice {
  const isWatched = context.io.stderr.isTTY === true;
  if (!isWatched && options.recoveryKey !== false && options.recoveryRecipient === undefined) {
    context.output.note(
      `no recovery key was made: nobody watches. Make one: ${context.commandLine("vault key add --recovery")}`,
    );
  }
  return recoveryChoice(isWatched ? options : { ...options, recoveryKey: false });
}

/** Where nobody is there who could be asked for the passphrase, somebody will bring it later. */
function startsSealed(context: Context, options: ServeOptions, kinds: readonly string[]): boolean {
  if (options.sealed === true) return true;
  return isTypeable(kinds) && !needsNobody(kinds) && !isOwnChoice(options) && !canAsk(context);
}

/** The key that needs nobody is gone, and somebody may know another. */
function waitsForKey(options: ServeOptions, kinds: readonly string[], failure: unknown): boolean {
  const isTyped = kinds.includes("passphrase") && !isOwnChoice(options);
  return isTyped && isGatehouseError(failure, "vault.key-missing");
}

function isOwnChoice({ kek, kekPassphraseFile }: ServeOptions): boolean {
  return kek !== undefined || kekPassphraseFile !== undefined;
}

/** @throws GatehouseError `usage.bad-argument` when nobody who supervises started this process. */
function supervisorOf({ parent }: Io, { supervised }: ServeOptions): Parent | undefined {
  if (supervised === undefined) return undefined;
  if (parent !== undefined) return parent;
  throw new GatehouseError("usage.bad-argument", "--supervised is for the process that --supervise starts", {
    hint: "use --supervise",
  });
}

function gather(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function greeting({ config, output }: Context, { ready }: Daemon): string {
  const { style } = output;
  const isSealed = ready.state === "sealed";
  const lines = facts(
    [
      ["address", ready.quic === "" ? "no QUIC: its library has no binary for this platform" : ready.quic],
      ["gRPC", ready.grpc ?? "off"],
      ["device id", ready.deviceId],
      ["fingerprint", grouped(ready.fingerprint)],
      ["home", config.home],
    ],
    style,
  );
  const how = isSealed ? "sealed: open it with gatehouse unseal" : "open";
  return `${style.bold(`Gatehouse ${ready.name} is ${how}`)}\n\n${lines}\n`;
}

/** The door stays open whatever becomes of this first window. */
async function letOneIn(context: Context, daemon: Daemon, stop: AbortSignal): Promise<void> {
  const { io, output } = context;
  try {
    const events = asPairingEvents(daemon.openPairing({}, stop));
    await watchPairing(context, events, { openedEvent: "pairing-open" });
  } catch (error) {
    if (stop.aborted) return;
    if (!isGatehouseError(error)) throw error;
    if (output.isJson) output.result({ event: "pairing-closed", code: error.code }, () => "");
    else output.note(`${error.message}; open another window with: ${io.invocation} pair open`);
  }
}

async function* asPairingEvents(events: AsyncIterable<PairingDoorEvent>): AsyncIterable<PairingEvent> {
  for await (const event of events) {
    switch (event.kind) {
      case "paired": {
        const { deviceId, name, role } = event.device;
        yield { kind: "paired", device: { id: deviceId, name, role } };
        break;
      }
      case "asked":
        yield { kind: "asked", joiner: asJoiner(event.joiner) };
        break;
      case "denied":
        yield { kind: "denied", id: event.deviceId };
        break;
      case "opened":
      case "burnt":
      case "expired":
        yield event;
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function forever(): Promise<never> {
  return new Promise(() => undefined);
}
