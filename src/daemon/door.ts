import { Authorizer, loadDefaultPolicies, loadDefaultSchema } from "../authz/index.ts";
import { type AdmittedDevice, type DeviceCa, DeviceRegistry } from "../ca/index.ts";
import { equalBytes, type Resources } from "../core/index.ts";
import type { HomeLayout } from "../files/index.ts";
import { type DeviceIdentity, parseDeviceId } from "../identity/index.ts";
import { type Enroll, PairingLimiter } from "../pairing/index.ts";
import {
  type Admission,
  dialable,
  formatAddress,
  type QuicConnection,
  type QuicServer,
  type ServerHandshake,
} from "../quic/index.ts";
import type { Router } from "../rpc/index.ts";
import { createRouter, type DeviceDirectory, type Peer } from "../services/index.ts";
import type { DeviceRow } from "../vault/index.ts";
import { admission } from "./admission.ts";
import { arrivals } from "./arrivals.ts";
import { authorityDesk } from "./authority-desk.ts";
import { backupDesk } from "./backup-desk.ts";
import type { BootRecord } from "./boot-record.ts";
import { enrollment } from "./enrollment.ts";
import { keysDesk } from "./keys-desk.ts";
import { limiterStore } from "./limiter-store.ts";
import type { OwnCertificates } from "./own-certificates.ts";
import { PairingDoor } from "./pairing-door.ts";
import { Peers } from "./peers.ts";
import type { Quarantine } from "./quarantine.ts";
import { renewals } from "./renewals.ts";
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
  readonly quarantine: Quarantine;
  /** Not asked before somebody comes in. */
  readonly server: () => QuicServer;
  /** Is told whose connection is being handled. */
  readonly spotlight: () => Spotlight<QuicConnection> | undefined;
  readonly sealing: () => void;
}

export interface Door {
  readonly router: Router<Peer>;
  readonly pairing: PairingDoor;
  readonly peers: Peers;
  readonly registry: DeviceRegistry<DeviceRow>;
  readonly admit: (handshake: ServerHandshake) => Admission;
}

/** Puts admission, services and pairing behind the QUIC server; all owned by `resources`. */
export async function openDoor(parts: DoorParts, resources: Resources): Promise<Door> {
  const { ca, certificates, storage, spotlight, server, identity, clock, logger } = parts;
  const { devices } = storage.vault;
  const registry = new DeviceRegistry<DeviceRow>({
    ...{ store: devices, gatehouseId: identity.id, clock },
    caCertificates: () => ca.certificatesDer,
    everyCaCertificate: () => ca.knownCertificatesDer,
  });
  const peers = new Peers();
  resources.use(registry.onChange((row) => expelUnwelcome(peers, row)));
  resources.use(registry.onChange(() => parts.epoch.keepSoon()));

  const pairing = await openPairingDoor(parts);
  const router = resources.use(await openRouter(parts, { registry, peers, pairing }));
  const serve = (connection: QuicConnection, device: AdmittedDevice<DeviceRow>): void => {
    spotlight()?.name(connection, device.id);
    const peer = peerOf(connection, device, { registry, certificates });
    connection.onStream((stream) => router.serve(stream, peer));
  };
  const arrived = arrivals({ registry, devices, audit: storage.audit, logger });
  certificates.onChange(() => server().replaceTls(certificates.serverTls));
  const admit = admission({ registry, peers, pairing, logger, serve, arrived });
  return { router, pairing, peers, registry, admit };
}

async function openPairingDoor({
  identity,
  boot,
  ca,
  certificates,
  epoch,
  storage,
  server,
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
    ...{ server, identity, limiter, enroll, clock, random, logger },
    gatehouseName: boot.name,
    findByName: (name) =>
      vault.devices.list().find((row) => row.name === name && row.state !== "revoked")?.id,
  });
}

interface RouterParts {
  readonly registry: DeviceRegistry<DeviceRow>;
  readonly peers: Peers;
  readonly pairing: PairingDoor;
}

async function openRouter(parts: DoorParts, door: RouterParts): Promise<Router<Peer>> {
  const { identity, boot, storage, ca, certificates, version, server, clock, logger } = parts;
  const { vault, audit } = storage;
  const { registry, pairing } = door;
  const [schema, policies] = await Promise.all([loadDefaultSchema(), loadDefaultPolicies()]);
  return createRouter({
    ...{ gatehouseId: identity.id, audit, clock, logger, secrets: vault.secrets, windows: pairing },
    authorizer: await Authorizer.open({ schema, policies, logger }),
    devices: deviceDirectory(parts, door),
    keys: keysDesk({ identity, vault, audit }),
    backup: backupDesk(parts),
    authority: authorityDesk({ ca, certificates, devices: vault.devices }),
    health: {
      ...{ name: boot.name, deviceId: identity.id, fingerprint: identity.fingerprint, version },
      quic: () => formatAddress(dialable(server().addresses, "network")),
      devicesBy: (state) => registry.countOf(state),
      burntCodes: () => pairing.burntCodes,
      certificateExpiresAt: () => certificates.server.expiresAt,
      counters: () => ({ ...server().counters }),
      state: () => vault.state,
    },
    seal: { begin: parts.sealing, state: () => vault.state },
  });
}

function deviceDirectory(
  { identity, ca, storage, quarantine, epoch, clock }: DoorParts,
  { registry, peers }: RouterParts,
): DeviceDirectory {
  const { devices } = storage.vault;
  /** What takes a right away is not answered before the count of it is kept outside of the vault. */
  const kept = async (change: Promise<DeviceRow>): Promise<DeviceRow> => {
    const row = await change;
    await epoch.keep();
    return row;
  };
  return {
    list: () => registry.list(),
    find: (text) => registry.find(text),
    lastSeen: (id) => registry.lastSeen(id),
    connectionCount: (id) => peers.count(parseDeviceId(id)),
    isReadmitted: (id) => registry.isReadmitted(id),
    onChange: (listener) => registry.onChange(listener),
    revoke: (id, at, mutation) => kept(devices.revoke(id, at, mutation)),
    release: (id, mutation) => quarantine.release(parseDeviceId(id), mutation),
    rename: (id, name, mutation) => devices.rename(id, name, mutation),
    grant: (id, role, mutation) => devices.grant(id, role, mutation),
    ungrant: (id, role, mutation) => kept(devices.ungrant(id, role, mutation)),
    readmit: (id, until, mutation) => devices.readmit(id, until, mutation),
    renew: renewals({ identity, ca, devices, clock }),
  };
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
  connection: QuicConnection,
  { id: deviceId, access, spkiSha256 }: AdmittedDevice<DeviceRow>,
  { registry, certificates }: { registry: DeviceRegistry<DeviceRow>; certificates: OwnCertificates },
): Peer {
  return {
    ...{ deviceId, access, wire: "quic" },
    facts: () => {
      const row = registry.get(deviceId);
      const isWelcome = row?.state === "active" && keysOf(row).some((key) => equalBytes(key, spkiSha256));
      return isWelcome ? { name: row.name, roles: row.roles } : undefined;
    },
    remoteAddress: () => connection.remote.host,
    serverSpkiSha256: certificates.server.spkiSha256,
  };
}
