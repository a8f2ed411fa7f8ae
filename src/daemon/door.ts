import { type AdmittedDevice, type DeviceCa, DeviceRegistry } from "../ca/index.ts";
import type { DeviceLimits } from "../config/index.ts";
import { equalBytes, type Resources } from "../core/index.ts";
import type { HomeLayout } from "../files/index.ts";
import { type DeviceIdentity, parseDeviceId } from "../identity/index.ts";
import { type Enroll, PairingLimiter } from "../pairing/index.ts";
import type { Router } from "../rpc/index.ts";
import type { Peer } from "../services/index.ts";
import type { ToolDefinition } from "../tools/index.ts";
import type { DeviceRow, Users } from "../vault/index.ts";
import { admission } from "./admission.ts";
import { arrivals } from "./arrivals.ts";
import type { BootRecord } from "./boot-record.ts";
import { factsOf } from "./device-directory.ts";
import type { DeviceAdmission, DeviceHandshake, DoorConnection, Wire } from "./door-connection.ts";
import type { Doors } from "./doors.ts";
import { enrollment } from "./enrollment.ts";
import { limiterStore } from "./limiter-store.ts";
import { openRouter } from "./open-router.ts";
import type { OwnCertificates } from "./own-certificates.ts";
import { PairingDoor } from "./pairing-door.ts";
import { Peers } from "./peers.ts";
import type { Quarantine } from "./quarantine.ts";
import { RequestFile } from "./request-file.ts";
import type { RevocationEpoch } from "./restored.ts";
import type { Effects, Storage } from "./storage.ts";
import type { Spotlight } from "./watchdog-memory.ts";

export interface DoorParts extends Effects {
  readonly layout: HomeLayout;
  readonly identity: DeviceIdentity;
  readonly boot: BootRecord;
  readonly storage: Storage;
  readonly ca: DeviceCa;
  readonly certificates: OwnCertificates;
  readonly epoch: RevocationEpoch;
  readonly version: string;
  readonly tools: ReadonlyMap<string, ToolDefinition>;
  readonly limits: DeviceLimits;
  readonly keyDir: string;
  readonly quarantine: Quarantine;
  /** Not asked before somebody comes in. */
  readonly doors: () => Doors;
  /** Is told whose connection is being handled. */
  readonly spotlight: () => Spotlight<DoorConnection> | undefined;
  readonly sealing: () => void;
}

export interface Door {
  readonly router: Router<Peer>;
  readonly pairing: PairingDoor;
  readonly peers: Peers;
  readonly registry: DeviceRegistry<DeviceRow>;
  readonly requests: RequestFile;
  readonly admitDevice: (handshake: DeviceHandshake) => DeviceAdmission;
}

/** Puts admission, services and pairing behind the servers; all owned by `resources`. */
export async function openDoor(parts: DoorParts, resources: Resources): Promise<Door> {
  const { ca, certificates, storage, spotlight, doors, identity, clock, logger } = parts;
  const { devices, users } = storage.vault;
  const registry = new DeviceRegistry<DeviceRow>({
    ...{ store: devices, gatehouseId: identity.id, clock },
    caCertificates: () => ca.certificatesDer,
    everyCaCertificate: () => ca.knownCertificatesDer,
  });
  const peers = new Peers();
  resources.use(registry.onChange((row) => expelUnwelcome(peers, row)));
  resources.use(registry.onChange(() => parts.epoch.keepSoon()));

  const pairing = await openPairingDoor(parts);
  const requests = resources.use(await RequestFile.open(parts.layout.requestsFile, { ...parts, ...storage }));
  const router = await openRouter(
    { ...parts, registry, peers, pairing, recorder: requests.recorder },
    resources,
  );
  const serve = (connection: DoorConnection, wire: Wire, device: AdmittedDevice<DeviceRow>): void => {
    spotlight()?.name(connection, device.id);
    const peer = peerOf({ connection, wire }, device, { registry, certificates, users });
    connection.onStream((stream) => router.serve(stream, peer));
  };
  const arrived = arrivals({ registry, devices, audit: storage.audit, logger });
  certificates.onChange(() => doors().replaceTls(certificates.serverTls));
  const admitDevice = admission({ registry, peers, logger, serve, arrived });
  return { router, pairing, peers, registry, admitDevice, requests };
}

async function openPairingDoor({
  identity,
  boot,
  ca,
  certificates,
  epoch,
  storage,
  doors,
  clock,
  random,
  logger,
}: DoorParts): Promise<PairingDoor> {
  const { vault, audit } = storage;
  const burnt = { action: "pair:burn", resource: `gatehouse:${identity.id}`, outcome: "done" } as const;
  const limiter = await PairingLimiter.open(
    limiterStore(vault.settings, () => audit.encodeEvent(burnt)),
    clock,
  );
  const enrollIn = enrollment({ ca, vault, audit, clock });
  const enroll: Enroll = async (request) => {
    const grant = await enrollIn(request);
    // Whom it replaces must not come back with a copy.
    await epoch.keep();
    return grant;
  };
  return new PairingDoor({
    certificate: () => certificates.server.der,
    doors,
    ...{ identity, limiter, enroll, clock, random, logger },
    gatehouseName: boot.name,
    findByName: (name) =>
      vault.devices.list().find((row) => row.name === name && row.state !== "revoked")?.id,
  });
}

/** Within the turn in which it became so: live connections of a device, or a key, that is not welcome any more end. */
function expelUnwelcome(peers: Peers, row: DeviceRow): void {
  const { id, state } = row;
  if (state === "active") {
    peers.expelOtherKeys(parseDeviceId(id), keysOf(row));
    return;
  }
  const reasons = { revoked: "was revoked", quarantined: "is quarantined", held: "is held since a restore" };
  peers.expel(parseDeviceId(id), `device.${state}`, `this device ${reasons[state]}`);
}

/** SHA-256 of those that a device may come in with. */
function keysOf({ spkiSha256, nextSpkiSha256 }: DeviceRow): readonly Uint8Array[] {
  return nextSpkiSha256 === undefined ? [spkiSha256] : [spkiSha256, nextSpkiSha256];
}

function peerOf(
  { connection, wire }: { readonly connection: DoorConnection; readonly wire: Wire },
  { id: deviceId, access, spkiSha256 }: AdmittedDevice<DeviceRow>,
  {
    registry,
    certificates,
    users,
  }: { registry: DeviceRegistry<DeviceRow>; certificates: OwnCertificates; users: Pick<Users, "get"> },
): Peer {
  return {
    ...{ deviceId, access, wire },
    facts: () => {
      const row = registry.get(deviceId);
      const isWelcome = row?.state === "active" && keysOf(row).some((key) => equalBytes(key, spkiSha256));
      return isWelcome ? factsOf(row, users) : undefined;
    },
    remoteAddress: () => connection.remote.host,
    serverSpkiSha256: certificates.server.spkiSha256,
  };
}
