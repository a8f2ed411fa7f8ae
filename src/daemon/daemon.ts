import { ACTIONS } from "../authz/index.ts";
import { type Config, DEFAULT_DEVICE_LIMITS, nearestName } from "../config/index.ts";
import { GatehouseError, Resources } from "../core/index.ts";
import { checkPrivateTree, ensurePrivateDir, type HomeLayout, homeLayout, lockHome } from "../files/index.ts";
import type { DeviceId, DeviceIdentity } from "../identity/index.ts";
import type { KeyProvider } from "../keystore/index.ts";
import type { SocketAddress } from "../quic/index.ts";
import type { EarlyDataCounts } from "../rpc/index.ts";
import { parseTools } from "../tools/index.ts";
import { type BootRecord, readBootRecord } from "./boot-record.ts";
import { FrontDoor } from "./front-door.ts";
import { openServingIdentity } from "./home-identity.ts";
import { makeGatehouse } from "./init.ts";
import { publishEndpoint } from "./owner-files.ts";
import type { PairingDoorEvent } from "./pairing-door.ts";
import type { Effects } from "./storage.ts";
import { Watchdog, type WatchdogOptions } from "./watchdog.ts";

export interface DaemonOptions extends Effects {
  readonly home: string;
  /** Where key-encryption keys lie; outside of the home. */
  readonly keyDir: string;
  /** What opens the vault; default a key file in `keyDir`. */
  readonly kek?: KeyProvider | undefined;
  /** One socket each; a wildcard is bound to every address of its family. */
  readonly listen: readonly SocketAddress[];
  /** Where to serve gRPC over TCP; default: where `listen` serves QUIC, under the same numbers. */
  readonly grpc?: readonly SocketAddress[] | "off" | undefined;
  /** `sealed`: without the vault's key, until somebody unseals it; default `open`. */
  readonly start?: "open" | "sealed";
  /** Makes the gatehouse first where there is none, under this name. */
  readonly init?: { readonly name: string; readonly recipient?: Uint8Array | undefined };
  /** The program's version, as `Health/Status` tells it. */
  readonly version: string;
  /** The `tools` and `limits` of the configuration, and the file that they stand in. */
  readonly config?: Partial<Pick<Config, "tools" | "limits">> & Pick<Config, "configFile">;
  /** How long certificates of devices and of the gatehouse itself are good; default `LIMITS.certificateLifetimeMs`. */
  readonly leafLifetimeMs?: number | undefined;
  /** Between two looks at the calendar; for tests that turn it quickly. */
  readonly roundsPauseMs?: number;
  /** Of this process, for the command line's information. */
  readonly pid: number;
  /**
   * When there: a thread ends this whole process should its main thread freeze. Only who owns the process, and has it
   * started again, asks for it.
   */
  readonly watchdog?: WatchdogOptions;
}

/** What a daemon that is ready says of itself. */
export interface DaemonReady {
  readonly name: string;
  readonly deviceId: DeviceId;
  /** SHA-256 of the identity key, hex. */
  readonly fingerprint: string;
  readonly state: "open" | "sealed";
  /**
   * HOST:PORT to dial; for a wildcard the first address of this machine that others can see. Empty where the QUIC library has
   * no binary: gRPC is served alone then.
   */
  readonly quic: string;
  /** The same of the gRPC door; undefined when it is off. */
  readonly grpc: string | undefined;
}

/** One running gatehouse: everything opened in order, closed in reverse. */
export class Daemon implements AsyncDisposable {
  readonly ready: DaemonReady;
  readonly #resources: Resources;
  readonly #door: FrontDoor;
  #isClosed = false;

  private constructor(ready: DaemonReady, door: FrontDoor, resources: Resources) {
    this.ready = ready;
    this.#door = door;
    this.#resources = resources;
  }

  /**
   * Opens the home and starts to serve it. What was opened is closed again when any step fails.
   * @throws home.not-initialized, home.in-use, home.bad-permissions, identity.damaged, boot.damaged, ca.damaged,
   * vault.*, audit.damaged, authz.invalid-policy, config.invalid, quic.address-in-use, quic.bad-address,
   * quic.unsupported-platform
   */
  static async start(options: DaemonOptions): Promise<Daemon> {
    await using resources = new Resources();
    const layout = homeLayout(options.home);
    const declared = readDeclarations(options.config);
    const { identity, boot } = await openHome(layout, options, resources);
    const parts = { ...options, ...declared, layout, identity, boot };
    const door = resources.use(await FrontDoor.open(parts, options.start ?? "open"));
    door.spotlight = (await startWatchdog(layout, options, resources))?.spotlight;
    const addresses = door.doors.addresses("network");
    resources.use(await publishEndpoint(layout, door.doors.addresses("this-machine"), options.pid));
    const state = door.openSide === undefined ? "sealed" : "open";
    const { quic = "", grpc } = addresses;
    options.logger.info("ready", { quic, grpc, state });
    const { id: deviceId, fingerprint } = identity;
    return new Daemon({ name: boot.name, deviceId, fingerprint, quic, grpc, state }, door, resources.move());
  }

  /** Calls that came in early data, by what became of them; undefined while the vault is sealed. */
  get earlyData(): EarlyDataCounts | undefined {
    return this.#door.openSide?.earlyData;
  }

  /**
   * Opens a pairing window on behalf of whoever started this process; see `PairingDoor.open`.
   * @throws vault.sealed, pairing.window-open, pairing.paused
   */
  openPairing(
    options: { readonly role?: string; readonly ttlMs?: number },
    signal: AbortSignal,
  ): AsyncIterable<PairingDoorEvent> {
    const pairing = this.#door.openSide?.pairing;
    if (pairing === undefined) throw new GatehouseError("vault.sealed", "the vault is sealed");
    return pairing.open({ role: "member", ...options }, signal);
  }

  /** Takes no new calls, lets those in flight end (5 s), then closes everything. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#resources[Symbol.asyncDispose]();
  }
}

/** What the configuration says of tools and limits, in the words of who knows them. @throws config.invalid */
function readDeclarations({ tools, limits = DEFAULT_DEVICE_LIMITS, configFile }: Declarations = NOTHING) {
  const unknown = [...limits.actions.keys()].find((name) => !ACTIONS.some((action) => action === name));
  if (unknown !== undefined) {
    const nearest = nearestName(unknown, ACTIONS) ?? "secret:reveal or tool:run";
    throw new GatehouseError("config.invalid", `${configFile}: limits.actions: no action has that name`, {
      hint: `write one such as ${nearest}`,
    });
  }
  return { tools: parseTools(tools, { configFile }), limits };
}

type Declarations = NonNullable<DaemonOptions["config"]>;
const NOTHING: Declarations = { configFile: "" };

async function startWatchdog(
  { freezesFile }: HomeLayout,
  { watchdog, clock, logger }: DaemonOptions,
  resources: Resources,
): Promise<Watchdog | undefined> {
  if (watchdog === undefined) return undefined;
  return resources.use(await Watchdog.start({ ...watchdog, notesFile: freezesFile, clock, logger }));
}

interface OpenHome {
  readonly identity: DeviceIdentity;
  readonly boot: BootRecord;
}

async function openHome(layout: HomeLayout, options: DaemonOptions, resources: Resources): Promise<OpenHome> {
  if (options.init !== undefined) await ensurePrivateDir(layout.root);
  await checkHome(layout);
  resources.use(await lockHome(layout.lockFile));
  const identity = await openServingIdentity(layout, options.init === undefined ? "open" : "create", options);
  const known = await readBootRecord(layout.bootFile, identity);
  if (known !== undefined) return { identity, boot: known };
  if (options.init === undefined) throw notInitialized();
  return { identity, boot: await makeGatehouse(layout, identity, { ...options, ...options.init }) };
}

async function checkHome(layout: HomeLayout): Promise<void> {
  try {
    await checkPrivateTree(layout.root);
  } catch (failure) {
    if (failure instanceof GatehouseError && failure.code === "file.not-found") throw notInitialized();
    throw failure;
  }
}

function notInitialized(): GatehouseError<"home.not-initialized"> {
  return new GatehouseError("home.not-initialized", "no gatehouse lives in this home yet", {
    hint: "make one with: gatehouse init, or start with: gatehouse serve --init",
  });
}
