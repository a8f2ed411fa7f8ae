import { setFlagsFromString } from "node:v8";
import type { ListenAddress, LogLevel } from "../../config/index.ts";
import {
  type Clock,
  GatehouseError,
  isGatehouseError,
  type Logger,
  systemClock,
  systemRandom,
} from "../../core/index.ts";
import type { Daemon, PairingDoorEvent } from "../../daemon/index.ts";
import { createLogger } from "../../observe/index.ts";
import type { Commands, Context, GlobalOptions } from "../context.ts";
import { packageVersion } from "../package-version.ts";
import { type PairingEvent, watchPairing } from "../pairing-watch.ts";
import { facts } from "../table.ts";
import { grouped } from "../words.ts";

export function addServe({ program, bind }: Commands): void {
  const command = program
    .command("serve")
    .description("run the gatehouse of this home until it is told to stop")
    .option("--listen <host:port>", "where to listen, 127.0.0.1:7443 by default", gather)
    .option("--init", "make the home first when it is new")
    .option("--open-pairing", "let one new device in, with a code that is shown here")
    .option("--name <name>", "with --init, what to call it; the host's name by default");
  bind(command, serve);
}

interface ServeOptions extends GlobalOptions {
  readonly init?: boolean;
  readonly openPairing?: boolean;
}

async function serve(context: Context, _args: readonly string[], options: ServeOptions): Promise<undefined> {
  // The young generation must not shrink between bursts: measured, p99 falls from 12 to 2.4 ms.
  setFlagsFromString("--semi-space-growth-factor=1");
  const { config, io, output } = context;
  const { Daemon: daemonClass } = await loadDaemon();
  const { home, keyDir, name } = config;
  await using daemon = await daemonClass.start({
    ...{ home, keyDir, listen: onlyAddress(config.listen), version: packageVersion(), pid: io.pid },
    ...(options.init === true ? { init: { name } } : {}),
    ...{ clock: systemClock, random: systemRandom, logger: stderrLogger(context, systemClock) },
  });
  const { quic, deviceId, fingerprint } = daemon.ready;
  output.result({ event: "ready", quic, deviceId, fingerprint, name: daemon.ready.name }, () =>
    greeting(context, daemon),
  );
  const pairing = options.openPairing === true ? letOneIn(context, daemon) : undefined;
  await Promise.race([aborted(io.stop), ...(pairing === undefined ? [] : [pairing.then(forever)])]);
  output.note("stopping: calls in flight get 5 seconds");
}

function onlyAddress(listen: readonly ListenAddress[]): ListenAddress {
  const [first, ...more] = listen;
  if (first !== undefined && more.length === 0) return first;
  throw new GatehouseError("usage.bad-argument", "a gatehouse listens on one address", {
    hint: "give --listen once",
  });
}

/** Apart from its caller: TypeScript 6.0 leaves `.ts` in a dynamic import beside an `await using`. */
function loadDaemon() {
  return import("../../daemon/index.ts");
}

function gather(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function greeting({ config, output }: Context, { ready }: Daemon): string {
  const { style } = output;
  const lines = facts(
    [
      ["address", ready.quic],
      ["device id", ready.deviceId],
      ["fingerprint", grouped(ready.fingerprint)],
      ["home", config.home],
    ],
    style,
  );
  return `${style.bold(`Gatehouse ${ready.name} is open`)}\n\n${lines}\n`;
}

/** The door stays open whatever becomes of this first window. */
async function letOneIn(context: Context, daemon: Daemon): Promise<void> {
  const { io, output } = context;
  try {
    await watchPairing(context, asPairingEvents(daemon.openPairing({}, io.stop)), "pairing-open");
  } catch (error) {
    if (io.stop.aborted) return;
    if (!isGatehouseError(error)) throw error;
    if (output.isJson) output.result({ event: "pairing-closed", code: error.code }, () => "");
    else output.note(`${error.message}; open another window with: ${io.invocation} pair open`);
  }
}

async function* asPairingEvents(events: AsyncIterable<PairingDoorEvent>): AsyncIterable<PairingEvent> {
  for await (const event of events) {
    if (event.kind !== "paired") yield event;
    else {
      const { deviceId, name, role } = event.device;
      yield { kind: "paired", device: { id: deviceId, name, role } };
    }
  }
}

function stderrLogger({ io, config, output }: Context, clock: Clock): Logger {
  const level: LogLevel = config.logLevel ?? (output.isWatched ? "warn" : "info");
  const format = io.stderr.isTTY === true ? "text" : "json";
  return createLogger({ level, format, destination: io.stderr, clock });
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
