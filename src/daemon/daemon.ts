import { DeviceCa } from "../ca/index.ts";
import { GatehouseError, LIMITS, Resources } from "../core/index.ts";
import { checkPrivateTree, ensurePrivateDir, type HomeLayout, homeLayout, lockHome } from "../files/index.ts";
import type { DeviceId, DeviceIdentity } from "../identity/index.ts";
import type { KeyProvider } from "../keystore/index.ts";
import { dialable, formatAddress, type QuicServer, type SocketAddress } from "../quic/index.ts";
import type { EarlyDataCounts, Router } from "../rpc/index.ts";
import type { Peer } from "../services/index.ts";
import { Presence } from "./absence.ts";
import { type BootRecord, readBootRecord } from "./boot-record.ts";
import { caKeyCodec } from "./ca-key-codec.ts";
import { openDoor } from "./door.ts";
import { openServingIdentity } from "./home-identity.ts";
import { makeGatehouse } from "./init.ts";
import { OwnCertificates } from "./own-certificates.ts";
import { publishEndpoint } from "./owner-files.ts";
import type { PairingDoor, PairingDoorEvent } from "./pairing-door.ts";
import { Quarantine } from "./quarantine.ts";
import { RevocationEpoch } from "./restored.ts";
import { Rounds } from "./rounds.ts";
import { type Effects, openStorage, type Storage } from "./storage.ts";
import { Watchdog, type WatchdogOptions } from "./watchdog.ts";

export interface DaemonOptions extends Effects {
  readonly home: string;
  /** Where key-encryption keys lie; outside of the home. */
  readonly keyDir: string;
  /** What opens the vault; default a key file in `keyDir`. */
  readonly kek?: KeyProvider | undefined;
  /** One socket each; a wildcard is bound to every address of its family. */
  readonly listen: readonly SocketAddress[];
  /** Makes the gatehouse first where there is none, under this name. */
  readonly init?: { readonly name: string };
  /** The program's version, as `Health/Status` tells it. */
  readonly version: string;
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
  /** HOST:PORT to dial; for a wildcard the first address of this machine that others can see. */
  readonly quic: string;
}

/** One running gatehouse: everything opened in order, closed in reverse. */
export class Daemon implements AsyncDisposable {
  readonly ready: DaemonReady;
  readonly #resources: Resources;
  readonly #router: Router<Peer>;
  readonly #pairing: PairingDoor;
  readonly #server: QuicServer;
  #isClosed = false;

  private constructor(parts: {
    ready: DaemonReady;
    resources: Resources;
    router: Router<Peer>;
    pairing: PairingDoor;
    server: QuicServer;
  }) {
    this.ready = parts.ready;
    this.#resources = parts.resources;
    this.#router = parts.router;
    this.#pairing = parts.pairing;
    this.#server = parts.server;
  }

  /**
   * Opens the home and starts to serve it. What was opened is closed again when any step fails.
   * @throws home.not-initialized, home.in-use, home.bad-permissions, identity.damaged, boot.damaged, ca.damaged,
   * vault.*, audit.damaged, quic.address-in-use, quic.bad-address
   */
  static async start(options: DaemonOptions): Promise<Daemon> {
    await using resources = new Resources();
    const layout = homeLayout(options.home);
    const { identity, boot } = await openHome(layout, options, resources);
    const storage = await openStorage(layout, { ...options, mode: "open" }, options, resources);
    const codec = caKeyCodec(storage.vault);
    const ca = await DeviceCa.open(layout.caDir, { gatehouseId: identity.id, ...options, codec });
    const own = { layout, identity, boot, ca, devices: storage.vault.devices, ...storage, ...options };
    const epoch = await RevocationEpoch.open(own);
    const quarantine = await openQuarantine(layout, identity, storage, options);
    await epoch.keep();
    const presence = resources.use(await Presence.begin(own));
    const certificates = await OwnCertificates.open({ ...own, gatehouseName: boot.name });
    const spotlight = (await startWatchdog(layout, options, resources))?.spotlight;
    const { router, pairing, server } = await openDoor(
      { ...options, identity, boot, storage, ca, certificates, epoch, quarantine, spotlight },
      resources,
    );
    await certificates.renewOwner();
    const duties = [() => presence.look(), () => certificates.look()];
    resources.use(new Rounds(duties, { ...options, pauseMs: options.roundsPauseMs }));
    const quic = formatAddress(dialable(server.addresses, "network"));
    const here = formatAddress(dialable(server.addresses, "this-machine"));
    resources.use(await publishEndpoint(layout, here, options.pid));
    options.logger.info("ready", { quic });
    const ready = { name: boot.name, deviceId: identity.id, fingerprint: identity.fingerprint, quic };
    return new Daemon({ ready, router, pairing, server, resources: resources.move() });
  }

  /** Calls that came in early data, by what became of them. */
  get earlyData(): EarlyDataCounts | undefined {
    return this.#router.earlyDataCounts;
  }

  /**
   * Opens a pairing window on behalf of whoever started this process; see `PairingDoor.open`.
   * @throws pairing.window-open, pairing.paused
   */
  openPairing(
    options: { readonly role?: string; readonly ttlMs?: number },
    signal: AbortSignal,
  ): AsyncIterable<PairingDoorEvent> {
    return this.#pairing.open({ role: "member", ...options }, signal);
  }

  /** Takes no new calls, lets those in flight end (5 s), then closes everything. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#pairing[Symbol.dispose]();
    this.#server.announceShutdown();
    await this.#router.drain(LIMITS.drainMs);
    await this.#resources[Symbol.asyncDispose]();
  }
}

function openQuarantine(
  { freezesFile }: HomeLayout,
  { id }: DeviceIdentity,
  { vault, audit }: Storage,
  { clock, logger }: Effects,
): Promise<Quarantine> {
  const parts = { notesFile: freezesFile, devices: vault.devices, audit, gatehouseId: id, clock, logger };
  return Quarantine.open(parts);
}

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
  return { identity, boot: await makeGatehouse(layout, identity, { ...options, name: options.init.name }) };
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
