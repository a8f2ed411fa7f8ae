import { DeviceCa } from "../ca/index.ts";
import type { DeviceLimits } from "../config/index.ts";
import { LIMITS, Resources } from "../core/index.ts";
import type { HomeLayout } from "../files/index.ts";
import type { DeviceIdentity } from "../identity/index.ts";
import type { KeyProvider } from "../keystore/index.ts";
import { PAIRING_ALPN } from "../pairing/index.ts";
import type { Admission, ServerHandshake, ServerTls } from "../quic/index.ts";
import type { EarlyDataCounts } from "../rpc/index.ts";
import type { ToolDefinition } from "../tools/index.ts";
import { Presence } from "./absence.ts";
import type { BootRecord } from "./boot-record.ts";
import { caKeyCodec } from "./ca-key-codec.ts";
import { type Door, openDoor } from "./door.ts";
import type { DeviceAdmission, DeviceHandshake, DoorConnection } from "./door-connection.ts";
import { type DoorRecord, keepDoorRecord } from "./door-record.ts";
import type { Doors } from "./doors.ts";
import { rotationWish } from "./keys-desk.ts";
import { OwnCertificates } from "./own-certificates.ts";
import type { PairingDoor } from "./pairing-door.ts";
import { Quarantine } from "./quarantine.ts";
import { RevocationEpoch } from "./restored.ts";
import { Rounds } from "./rounds.ts";
import { SecretExpiry } from "./secret-expiry.ts";
import type { Side, TcpPairingAdmission } from "./side.ts";
import { type Effects, openStorage, type Storage } from "./storage.ts";
import type { Spotlight } from "./watchdog-memory.ts";

export interface OpenSideParts extends Effects {
  readonly layout: HomeLayout;
  readonly keyDir: string;
  readonly kek?: KeyProvider | undefined;
  readonly identity: DeviceIdentity;
  readonly boot: BootRecord;
  readonly version: string;
  readonly tools: ReadonlyMap<string, ToolDefinition>;
  readonly limits: DeviceLimits;
  readonly leafLifetimeMs?: number | undefined;
  readonly roundsPauseMs?: number | undefined;
  /** Not asked before somebody comes in. */
  readonly doors: () => Doors;
  readonly spotlight: () => Spotlight<DoorConnection> | undefined;
  /** Somebody who may has asked for this side to be sealed; the answer is on its way. */
  readonly sealing: () => void;
}

/** Everything that is opened with the vault's key, in order; closed in reverse. */
export class OpenSide implements Side, AsyncDisposable {
  readonly storage: Storage;
  readonly #resources: Resources;
  readonly #parts: OpenSideParts;
  readonly #door: Door;
  readonly #certificates: OwnCertificates;
  readonly #ca: DeviceCa;
  #draining: Promise<boolean> | undefined;

  private constructor(
    parts: OpenSideParts,
    opened: {
      readonly resources: Resources;
      readonly storage: Storage;
      readonly door: Door;
      readonly certificates: OwnCertificates;
      readonly ca: DeviceCa;
    },
  ) {
    this.#parts = parts;
    this.#resources = opened.resources;
    this.storage = opened.storage;
    this.#door = opened.door;
    this.#certificates = opened.certificates;
    this.#ca = opened.ca;
  }

  /** What was opened is closed again when any step fails. @throws ca.damaged, vault.*, audit.damaged, file.io */
  static async open(parts: OpenSideParts): Promise<OpenSide> {
    const { layout, identity, boot } = parts;
    await using resources = new Resources();
    const storage = await openStorage(layout, { ...parts, mode: "open" }, parts, resources);
    const codec = caKeyCodec(storage.vault);
    const ca = await DeviceCa.open(layout.caDir, { gatehouseId: identity.id, ...parts, codec });
    const own = { ...parts, ca, devices: storage.vault.devices, ...storage };
    const epoch = await RevocationEpoch.open(own);
    const quarantine = await openQuarantine(parts, storage);
    await epoch.keep();
    const presence = resources.use(await Presence.begin(own));
    const certificates = await OwnCertificates.open({ ...own, gatehouseName: boot.name });
    const door = await openDoor({ ...parts, storage, ca, certificates, epoch, quarantine }, resources);
    await certificates.renewOwner();
    const keepRecord = (): Promise<void> =>
      keepDoorRecord(layout.doorFile, identity, doorRecordOf(identity, { ca, certificates, storage }));
    const expiry = new SecretExpiry({ ...parts, ...storage });
    const looks = [presence, certificates, expiry, door.requests];
    const duties = [...looks.map((duty) => () => duty.look()), keepRecord];
    const rounds = resources.use(new Rounds(duties, { ...parts, pauseMs: parts.roundsPauseMs }));
    await rounds.attempt(keepRecord);
    storage.vault.rotation.resume(rotationWish({ identity, ...storage }));
    return new OpenSide(parts, { resources: resources.move(), storage, door, certificates, ca });
  }

  get pairing(): PairingDoor {
    return this.#door.pairing;
  }

  get serverTls(): ServerTls {
    return this.#certificates.serverTls;
  }

  get isReadmitting(): boolean {
    return this.#door.registry.isReadmitting;
  }

  get earlyData(): EarlyDataCounts | undefined {
    return this.#door.router.earlyDataCounts;
  }

  /** What the sealed door will need. */
  get doorRecord(): DoorRecord {
    const [certificates, ca, storage] = [this.#certificates, this.#ca, this.storage];
    return doorRecordOf(this.#parts.identity, { ca, certificates, storage });
  }

  /** Strangers are for the pairing door. */
  admit(handshake: ServerHandshake): Admission {
    if (handshake.alpn === PAIRING_ALPN) return this.pairing.admit();
    return this.admitDevice({ ...handshake, wire: "quic" });
  }

  admitTcpPairing(): TcpPairingAdmission {
    return this.pairing.admitTcp();
  }

  admitDevice(handshake: DeviceHandshake): DeviceAdmission {
    return this.#door.admitDevice(handshake);
  }

  /** No pairing, no new calls; those in flight get 5 s: answers whether there were any. Whoever asks again waits for the same end. */
  drain(): Promise<boolean> {
    this.pairing[Symbol.dispose]();
    this.#draining ??= this.#door.router.drain(LIMITS.drainMs);
    return this.#draining;
  }

  /** Ends every connection that came in here, then closes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#door.peers.expelAll("going-away", "the gatehouse goes away");
    await this.#resources[Symbol.asyncDispose]();
  }
}

function openQuarantine(
  { layout, identity, clock, logger }: OpenSideParts,
  { vault, audit }: Storage,
): Promise<Quarantine> {
  const notes = { notesFile: layout.freezesFile, devices: vault.devices, audit };
  return Quarantine.open({ ...notes, gatehouseId: identity.id, clock, logger });
}

function doorRecordOf(
  { id }: DeviceIdentity,
  {
    ca,
    certificates,
    storage,
  }: { readonly ca: DeviceCa; readonly certificates: OwnCertificates; readonly storage: Storage },
): DoorRecord {
  const row = storage.vault.devices.get(id);
  const keys = row?.state === "active" ? [row.spkiSha256, row.nextSpkiSha256] : [];
  return {
    serverCertificate: certificates.server.der,
    caCertificates: ca.certificatesDer,
    ownerKeys: keys.flatMap((key) => key ?? []),
  };
}
